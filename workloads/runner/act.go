package runner

import (
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/workloads"
)

// begin carries an operation out, unless it makes no sense as things are.
func (r *Runner) begin(s *slot, op *workloads.Op) {
	if op.Action == workloads.Create {
		r.create(s, op)
		return
	}
	own := r.owned[op.Topic]
	if op.Own && (own == nil || !own.there || own.lost) {
		return
	}
	if op.Topic != "" && !op.Own && r.config.There != nil && !r.config.There(op.Topic, op.Partition) {
		return
	}
	switch op.Action {
	case workloads.Produce, workloads.ProducePlain, workloads.ProduceNone:
		r.produce(s, op)
	case workloads.Poll, workloads.Reread, workloads.Tail, workloads.Beyond:
		r.fetch(s, op)
	case workloads.AtTime:
		r.atTime(s, op)
	case workloads.Earliest:
		r.list(s, op, api.OffsetSpec_EARLIEST)
	case workloads.Latest:
		r.list(s, op, api.OffsetSpec_LATEST)
	case workloads.Trim, workloads.TrimAll:
		r.trim(s, op)
	case workloads.Delete:
		r.delete(s, op, own)
	case workloads.Init, workloads.Renew:
		r.init(s, op)
	default:
		panic(fmt.Sprintf("runner: unknown action %q", op.Action))
	}
}

// name is the topic's in the history, where each incarnation has its own.
func (r *Runner) name(topic string) string {
	if own := r.owned[topic]; own != nil {
		return incarnation(topic, own.incarnation)
	}
	return topic
}

func incarnation(topic string, n int) string { return fmt.Sprintf("%s.%d", topic, n) }

// know gives what is known of the partition that an operation is on.
func (r *Runner) know(op *workloads.Op) (place, *known) {
	p := place{r.name(op.Topic), op.Partition}
	k := r.places[p]
	if k == nil {
		k = &known{}
		r.places[p] = k
	}
	return p, k
}

func (k *known) hear(start, end api.Offset) {
	k.start, k.end = max(k.start, start), max(k.end, end)
}

func (r *Runner) produce(s *slot, op *workloads.Op) {
	p, k := r.know(op)
	call := histories.Call{Op: histories.Produce, Topic: p.topic, Partition: p.partition}
	options := core.ProduceOptions{Timeout: r.config.Timeout}
	switch op.Action {
	case workloads.ProducePlain:
		options.Mode = core.Plain
	case workloads.ProduceNone:
		options.Mode = core.Unacknowledged
		call.Acks = api.Acks_NONE
	}
	var records []batch.Record
	for i := range op.Count {
		call.Values = append(call.Values, op.Value(i))
		records = append(records, batch.Record{Value: histories.Payload(op.Value(i), op.Size), Timestamp: op.Time(i)})
		if op.Stamp != 0 {
			call.Times = append(call.Times, int64(op.Time(i)))
		}
	}
	done := r.invoke(s, call, func(result core.Result) {
		if result.Err != nil || !result.Definite {
			r.change(s, result)
			return
		}
		start := api.Offset(result.Response.GetProduce().GetLogStart())
		k.hear(start, result.Offset+api.Offset(op.Count))
		r.ok(s, histories.Answer{Offset: result.Offset, LogStart: start})
	})
	r.client.Produce(op.Topic, op.Partition, records, options, done)
}

func (r *Runner) fetch(s *slot, op *workloads.Op) {
	p, k := r.know(op)
	call := histories.Call{Op: histories.Fetch, Topic: p.topic, Partition: p.partition}
	switch op.Action {
	case workloads.Poll:
		if k.trimmed {
			r.list(s, op, api.OffsetSpec_EARLIEST)
			return
		}
		call.Offset = k.position
	case workloads.Reread:
		call.Offset = k.part(op.Part)
	case workloads.Tail:
		call.Offset = k.end
	case workloads.Beyond:
		call.Offset = k.end + api.Offset(op.Count)
	}
	if s.acted {
		stood, known := s.stood[p]
		call.Continue = known && stood == call.Offset && op.Action == workloads.Poll
	}
	done := r.invoke(s, call, func(result core.Result) {
		if result.Err != nil {
			k.trimmed = k.trimmed || op.Action == workloads.Poll && result.Err.Code == api.Code_OFFSET_OUT_OF_RANGE
			r.fail(s, result.Err.Code)
			return
		}
		answer := fetched(result)
		k.hear(answer.LogStart, answer.HighWatermark)
		if next, ok := after(answer.Records); ok {
			s.stood[p] = next
			if op.Action == workloads.Poll {
				k.position = next
			}
		}
		r.ok(s, answer)
	})
	options := core.FetchOptions{MaxBytes: maxFetch, MaxWait: env.Time(op.Wait) * env.Millisecond, Timeout: r.config.Timeout}
	r.client.Fetch(op.Topic, op.Partition, call.Offset, options, done)
}

// maxFetch bounds the bytes of a fetch, low enough that a reader takes steps.
const maxFetch = 16 << 10

// part is an offset inside the known log.
func (k *known) part(thousandths int64) api.Offset {
	return k.start + (k.end-k.start)*api.Offset(thousandths)/1000
}

// fetched is what a fetch says in a history.
func fetched(result core.Result) histories.Answer {
	body := result.Response.GetFetch()
	answer := histories.Answer{
		Records:       make([]histories.Record, 0, len(result.Records)),
		HighWatermark: api.Offset(body.GetHighWatermark()), LogStart: api.Offset(body.GetLogStart()),
	}
	for _, record := range result.Records {
		answer.Records = append(answer.Records, histories.ParsePayload(record.Offset, record.Value))
	}
	return answer
}

func after(records []histories.Record) (api.Offset, bool) {
	if len(records) == 0 {
		return 0, false
	}
	return records[len(records)-1].Offset + 1, true
}

func (r *Runner) list(s *slot, op *workloads.Op, spec api.OffsetSpec) {
	p, k := r.know(op)
	call := histories.Call{Op: histories.ListOffsets, Topic: p.topic, Partition: p.partition, Spec: spec}
	done := r.invoke(s, call, func(result core.Result) {
		if result.Err != nil {
			r.fail(s, result.Err.Code)
			return
		}
		offset := api.Offset(result.Response.GetListOffsets().GetOffset())
		if spec == api.OffsetSpec_LATEST {
			k.hear(0, offset)
		} else {
			k.hear(offset, offset)
			k.position, k.trimmed = max(k.position, offset), false
		}
		r.ok(s, histories.Answer{Offset: offset})
	})
	r.client.ListOffsets(op.Topic, op.Partition, spec, r.config.Timeout, done)
}

func (r *Runner) atTime(s *slot, op *workloads.Op) {
	p, _ := r.know(op)
	call := histories.Call{
		Op: histories.ListOffsets, Topic: p.topic, Partition: p.partition, Spec: api.OffsetSpec_AT_TIME, Time: op.Stamp,
	}
	done := r.invoke(s, call, func(result core.Result) {
		if result.Err != nil {
			r.fail(s, result.Err.Code)
			return
		}
		a := result.Response.GetListOffsets()
		r.ok(s, histories.Answer{Offset: api.Offset(a.Offset), Found: a.Found, Time: a.Time, LogStart: api.Offset(a.LogStart)})
	})
	r.client.OffsetAtTime(op.Topic, op.Partition, api.Milliseconds(op.Stamp), r.config.Timeout, done)
}

func (r *Runner) trim(s *slot, op *workloads.Op) {
	p, k := r.know(op)
	before := k.part(op.Part)
	if op.Action == workloads.TrimAll {
		before = -1
	}
	call := histories.Call{Op: histories.DeleteRecords, Topic: p.topic, Partition: p.partition, Offset: before}
	done := r.invoke(s, call, func(result core.Result) {
		if result.Err != nil {
			r.change(s, result)
			return
		}
		start := api.Offset(result.Response.GetDeleteRecords().GetLogStart())
		k.hear(start, start)
		r.ok(s, histories.Answer{LogStart: start})
	})
	r.client.DeleteRecords(op.Topic, op.Partition, before, r.config.Timeout, done)
}

// create makes a topic of the client's own, unless it is there or may be.
func (r *Runner) create(s *slot, op *workloads.Op) {
	own := r.owned[op.Topic]
	if own == nil {
		own = &owned{}
		r.owned[op.Topic] = own
	}
	if own.there || own.lost {
		return
	}
	call := histories.Call{Op: histories.CreateTopic, Topic: incarnation(op.Topic, own.incarnation+1), Partitions: int32(op.Count)}
	own.pending = true
	done := r.invoke(s, call, func(result core.Result) {
		own.pending = false
		if result.Err != nil {
			own.lost = !result.Definite
			r.change(s, result)
			return
		}
		own.incarnation++
		own.there, own.partitions = true, op.Count
		r.ok(s, histories.Answer{})
	})
	r.client.CreateTopic(&api.CreateTopicRequest{Name: op.Topic, Partitions: int32(op.Count)}, r.config.Timeout, done)
}

func (r *Runner) delete(s *slot, op *workloads.Op, own *owned) {
	own.pending = true
	done := r.invoke(s, histories.Call{Op: histories.DeleteTopic, Topic: r.name(op.Topic)}, func(result core.Result) {
		own.pending = false
		if result.Err != nil {
			own.lost = !result.Definite
			r.change(s, result)
			return
		}
		own.there = false
		r.ok(s, histories.Answer{})
	})
	r.client.DeleteTopic(op.Topic, r.config.Timeout, done)
}

func (r *Runner) init(s *slot, op *workloads.Op) {
	call := histories.Call{Op: histories.InitProducer}
	if op.Action == workloads.Renew {
		call.Producer, call.Epoch = r.producer, r.epoch
	}
	done := r.invoke(s, call, func(result core.Result) {
		if result.Err != nil {
			r.producer = 0
			r.change(s, result)
			return
		}
		given := result.Response.GetInitProducer()
		r.producer, r.epoch = api.ProducerID(given.ProducerId), api.Epoch(given.Epoch)
		r.ok(s, histories.Answer{Producer: r.producer, Epoch: r.epoch})
	})
	r.client.InitProducer(call.Producer, call.Epoch, r.config.Timeout, done)
}

// Topic is a topic to read at the end of a run.
type Topic struct {
	// Name to ask for, and Recorded, its name in the history.
	Name, Recorded string
	Partitions     int
	// Lost: it may be gone.
	Lost bool
}

// Topics are the client's own that are there, or may be.
func (r *Runner) Topics() []Topic {
	var all []Topic
	for _, name := range slices.Sorted(maps.Keys(r.owned)) {
		if own := r.owned[name]; own.there {
			all = append(all, Topic{name, r.name(name), own.partitions, own.lost})
		}
	}
	return all
}
