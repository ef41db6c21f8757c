package sim

import (
	"bytes"
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/prng"
	"github.com/reprise-mq/reprise/workloads"
)

// rogue is a producer that keeps its own count of sequences and epochs, and breaks the
// rules that our client never breaks: it leaves gaps, repeats what was answered long
// ago, and writes under an epoch that has been replaced. Whatever it is told it holds
// against these rules. What it writes is part of the history.
type rogue struct {
	run   *run
	fault *plan.Fault
	left  int64
	topic *api.TopicRef
	group api.GroupID

	// producer is what its next batch will bear; ID 0: it has none.
	producer batch.Producer
	// sent are the acknowledged batches of the present epoch.
	sent []sent
	// retired is what it was under the epoch before, which the partition knows to be
	// replaced once a batch of this one is acknowledged.
	retired batch.Producer
}

// unheardOf and what follows are ids that no producer of a run is given.
const unheardOf api.ProducerID = 1 << 40

// kept is how many batches of a producer a partition knows at least, as KIP-98 has it.
const kept = 5

type sent struct {
	batch []byte
	base  int64
}

// Names of what a rogue or malformed request may show.
const (
	// BadInputTaken: a node answered that it did what it must refuse.
	BadInputTaken = "bad-input-taken"
	// GoodInputRefused: a node refused for good what it must do.
	GoodInputRefused = "good-input-refused"
)

// rogueProducer begins a rogue that takes Strength steps in the fault's length.
func (r *run) rogueProducer(f *plan.Fault) bool {
	p := r.partition(f.Target)
	if p == nil || f.Strength == 0 {
		return false
	}
	r.addRaw()
	g := &rogue{run: r, fault: f, left: f.Strength, topic: &api.TopicRef{Name: f.Target.Topic}, group: p.Group}
	r.noteFault(f, p.String(), histories.Point)
	g.step()
	return true
}

// step does one thing and, when its answer has come, the next.
func (g *rogue) step() {
	if g.left--; g.left < 0 || g.run.healed || g.run.over() {
		return
	}
	switch kind := g.draw(drawTarget, 10); {
	case g.producer.ID == 0:
		g.init()
	case kind < 2 && len(g.sent) > 0:
		g.produce(g.producer, "leaves a gap", g.after(1+g.draw(drawPeer, 1000)))
	case kind == 2 && len(g.sent) > 0:
		g.repeat(len(g.sent) - 1)
	case kind == 3 && len(g.sent) > 0:
		g.repeat(int(g.draw(drawPeer, int64(len(g.sent)))))
	case kind < 6 && g.retired.ID != 0 && len(g.sent) > 0:
		g.produce(g.retired, "is of an epoch that was replaced", g.retired.Sequence)
	case kind == 6 && len(g.sent) > 0:
		g.init()
	case kind == 7:
		unheard := batch.Producer{ID: unheardOf + api.ProducerID(g.run.rogues)}
		g.produce(unheard, "is the first of its producer and does not begin at 0", api.Sequence(1+g.draw(drawPeer, 1000)))
	default:
		g.produce(g.producer, "", g.producer.Sequence)
	}
}

func (g *rogue) draw(purpose uint64, below int64) int64 {
	return prng.Scale(prng.Hash(g.run.plan.Seed, prng.HashString("rogue"), uint64(g.fault.Number), uint64(g.left), purpose), below)
}

func (g *rogue) after(n int64) api.Sequence { return g.producer.Sequence + api.Sequence(n) }

// then goes on after a pause.
func (g *rogue) then() { g.run.after(g.fault, 1, g.fault.Strength, g.step) }

// ask sends a request to the leader of a group, as far as there is one.
func (g *rogue) ask(group api.GroupID, q *api.Request, done func(*api.Response)) {
	host, _, ok := g.run.oracle.Leader(group)
	if !ok {
		host = nodeName(1)
	}
	g.run.raw.ask(host, q, func(answer *api.Response) {
		done(answer)
		g.then()
	})
}

// init asks for a producer id, or for the next epoch of the one that it has.
func (g *rogue) init() {
	was := g.producer
	q := &api.InitProducerRequest{ProducerId: int64(was.ID), Epoch: int32(was.Epoch)}
	process := g.run.recorder.NewProcess()
	g.run.recorder.Invoke(g.run.now(), process, histories.Call{Op: histories.InitProducer, Producer: was.ID, Epoch: was.Epoch})
	g.ask(api.MetaGroup, &api.Request{Body: &api.Request_InitProducer{InitProducer: q}}, func(answer *api.Response) {
		given := answer.GetInitProducer()
		if given == nil {
			g.run.ended(process, answer)
			if !answer.GetError().GetCode().Definite() {
				g.producer = batch.Producer{} // its epoch may be the next one by now
			}
			return
		}
		g.producer = batch.Producer{ID: api.ProducerID(given.GetProducerId()), Epoch: api.Epoch(given.GetEpoch())}
		g.sent, g.retired = nil, was
		g.run.recorder.Ok(g.run.now(), process, histories.Answer{Producer: g.producer.ID, Epoch: g.producer.Epoch})
	})
}

// ended records an operation that was not done, or of which that is unknown.
func (r *run) ended(process histories.Process, answer *api.Response) {
	switch code := answer.GetError().GetCode(); {
	case answer == nil:
		r.recorder.Info(r.now(), process, api.Code_DISCONNECTED)
	case code.Definite():
		r.recorder.Fail(r.now(), process, code)
	default:
		r.recorder.Info(r.now(), process, code)
	}
}

// produce sends a batch under a producer and a sequence. wrong says why it must not be
// appended, "" if it must.
func (g *rogue) produce(producer batch.Producer, wrong string, sequence api.Sequence) {
	producer.Sequence = sequence
	data, values := g.batch(producer, 1+g.draw(drawReplica, 3))
	call := histories.Call{
		Op: histories.Produce, Topic: g.topic.GetName(), Partition: api.Partition(g.fault.Target.Partition), Values: values,
		Producer: producer.ID, Epoch: producer.Epoch, Sequence: sequence,
	}
	process := g.run.recorder.NewProcess()
	g.run.recorder.Invoke(g.run.now(), process, call)
	g.send(data, func(answer *api.Response) {
		code, done := answer.GetError().GetCode(), answer.GetProduce()
		if done != nil && code == api.Code_OK {
			g.run.recorder.Ok(g.run.now(), process, histories.Answer{
				Offset: api.Offset(done.GetBaseOffset()), LogStart: api.Offset(done.GetLogStart()),
			})
		} else {
			g.run.ended(process, answer)
		}
		what := fmt.Sprintf("a batch of producer %d epoch %d sequence %d for %s/%d",
			producer.ID, producer.Epoch, sequence, g.topic.GetName(), g.fault.Target.Partition)
		switch {
		case done != nil && code == api.Code_OK && wrong != "":
			g.run.fail(BadInputTaken, "%s %s, and is appended at offset %d", what, wrong, done.GetBaseOffset())
		case wrong != "":
		case done != nil && code == api.Code_OK:
			g.sent = append(g.sent, sent{data, done.GetBaseOffset()})
			g.producer.Sequence += api.Sequence(len(values))
		case answer != nil && code.Definite() && !code.Retriable():
			g.run.fail(GoodInputRefused, "%s is the next one, and the answer is %v", what, answer.GetError())
		case !code.Definite():
			g.producer = batch.Producer{} // whether it is there nobody knows
		}
	})
}

// repeat sends a batch again that was acknowledged. It stands where it stood, or is too
// old for that to be known.
func (g *rogue) repeat(nth int) {
	old := g.sent[nth]
	g.send(bytes.Clone(old.batch), func(answer *api.Response) {
		done, e := answer.GetProduce(), answer.GetError()
		switch {
		case done != nil && e == nil && done.GetBaseOffset() != old.base:
			g.run.fail(BadInputTaken, "a batch that stands at offset %d of %s/%d is sent again, and is said to stand at %d",
				old.base, g.topic.GetName(), g.fault.Target.Partition, done.GetBaseOffset())
		case e != nil && !(e.GetCode() == api.Code_DUPLICATE_SEQUENCE && nth < len(g.sent)-kept) && !e.GetCode().Retriable():
			g.run.fail(GoodInputRefused, "a batch that stands at offset %d of %s/%d is sent again, and the answer is %v",
				old.base, g.topic.GetName(), g.fault.Target.Partition, e)
		}
	})
}

func (g *rogue) send(data []byte, done func(*api.Response)) {
	g.ask(g.group, &api.Request{Body: &api.Request_Produce{Produce: &api.ProduceRequest{
		Topic: g.topic, Partition: g.fault.Target.Partition, Batch: data,
	}}}, done)
}

// batch makes one of so many records that no other of the run has.
func (g *rogue) batch(producer batch.Producer, count int64) ([]byte, []histories.Value) {
	op := workloads.Op{Client: g.run.plan.Workload.Clients, Number: g.run.rogues}
	g.run.rogues++
	var values []histories.Value
	var records []batch.Record
	for i := range int(count) {
		values = append(values, op.Value(i))
		records = append(records, batch.Record{Value: histories.Payload(op.Value(i), histories.MinPayload)})
	}
	data, err := batch.Encode(records, producer, batch.Plain{})
	if err != nil {
		panic(fmt.Sprintf("sim: a small batch cannot be encoded: %v", err))
	}
	return data, values
}
