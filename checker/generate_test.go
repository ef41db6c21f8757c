package checker_test

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/prng"
)

// shape says what a generated history is made of. Chances are out of 100.
type shape struct {
	clients, steps int
	partitions     int
	// batch is the most values of a produce.
	batch int
	// unknown, failing: chances that an operation ends so.
	unknown, failing int64
	// deletes: chance that an operation deletes records.
	deletes int64
	// final: read everything at the end.
	final bool
	// most is the most records of a fetch.
	most int64
}

// generator makes legal histories by running a log that is right.
type generator struct {
	shape
	rng     *prng.Stream
	h       *histories.History
	rec     *histories.Recorder
	now     histories.Time
	value   histories.Value
	logs    []model
	clients []*client
	// zombies are produces of unknown outcome that may still happen.
	zombies []*histories.Call
}

// model is one partition as it is.
type model struct {
	records []histories.Record
	start   api.Offset
}

func (m *model) end() api.Offset { return api.Offset(len(m.records)) }

// client is one process and what it is doing.
type client struct {
	process histories.Process
	call    *histories.Call
	done    bool
	answer  histories.Answer
	code    api.Code
	// next is where it stands in each partition.
	next []api.Offset
}

const topicName = "t"

// generate gives a legal history, and the facts behind it.
func generate(seed uint64, s shape) (*histories.History, *checker.Facts) {
	g := &generator{shape: s, rng: prng.New(seed), h: &histories.History{}, logs: make([]model, s.partitions)}
	g.rec = histories.NewRecorder(g.h.Append)
	for range s.clients {
		g.clients = append(g.clients, g.client())
	}
	for range s.steps {
		g.step(g.clients[g.rng.Below(int64(len(g.clients)))])
	}
	for _, c := range g.clients {
		for c.call != nil {
			g.step(c)
		}
	}
	if s.final {
		g.finalRead()
	}
	return g.h, g.facts()
}

func (g *generator) facts() *checker.Facts {
	f := &checker.Facts{}
	for i := range g.logs {
		f.Logs = append(f.Logs, checker.Log{Topic: topicName, Partition: api.Partition(i), Records: g.logs[i].records})
	}
	return f
}

func (g *generator) client() *client {
	return &client{process: g.rec.NewProcess(), next: make([]api.Offset, g.partitions)}
}

func (g *generator) tick() histories.Time {
	g.now += histories.Time(g.rng.Below(3))
	return g.now
}

// step does the next thing of a client: invoke, take effect, or complete.
func (g *generator) step(c *client) {
	if len(g.zombies) > 0 && g.rng.Chance(1, 4) {
		z := g.zombies[0]
		g.zombies = g.zombies[1:]
		if g.rng.Chance(1, 2) {
			g.append(z)
		}
	}
	switch {
	case c.call == nil:
		call := g.choose(c)
		c.call, c.done = &call, false
		g.rec.Invoke(g.tick(), c.process, call)
	case !c.done:
		g.effect(c)
	default:
		g.complete(c)
	}
}

// choose draws an operation.
func (g *generator) choose(c *client) histories.Call {
	call := histories.Call{Topic: topicName, Partition: api.Partition(g.rng.Below(int64(g.partitions)))}
	log := &g.logs[call.Partition]
	draw := g.rng.Below(100)
	switch {
	case draw < g.deletes:
		call.Op, call.Offset = histories.DeleteRecords, api.Offset(g.rng.Between(-1, int64(log.end())))
	case draw < 45:
		call.Op = histories.Produce
		for range g.rng.Between(1, int64(g.batch)) {
			call.Values = append(call.Values, g.value)
			g.value++
		}
	case draw < 60:
		call.Op, call.Spec = histories.ListOffsets, api.OffsetSpec(g.rng.Below(2))
	case draw < 80:
		call.Op, call.Offset, call.Continue = histories.Fetch, c.next[call.Partition], true
	default:
		call.Op, call.Offset = histories.Fetch, api.Offset(g.rng.Between(0, int64(log.end())+1))
	}
	return call
}

func (g *generator) append(call *histories.Call) api.Offset {
	log := &g.logs[call.Partition]
	base := log.end()
	for i, v := range call.Values {
		log.records = append(log.records, histories.Record{Offset: base + api.Offset(i), Value: v})
	}
	return base
}

// effect lets an operation take effect, or not.
func (g *generator) effect(c *client) {
	c.done, c.answer, c.code = true, histories.Answer{}, api.Code_OK
	log := &g.logs[c.call.Partition]
	switch {
	case c.call.Op == histories.Produce && g.rng.Chance(g.failing, 100):
		c.code = api.Code_NOT_LEADER
	case c.call.Op == histories.Produce && g.rng.Chance(g.unknown, 100):
		c.code = api.Code_TIMED_OUT
		g.zombies = append(g.zombies, c.call)
	case c.call.Op == histories.Produce:
		c.answer.Offset, c.answer.LogStart = g.append(c.call), log.start
	case c.call.Op == histories.DeleteRecords:
		before := c.call.Offset
		if before < 0 {
			before = log.end()
		}
		log.start = max(log.start, before)
		c.answer.LogStart = log.start
	case c.call.Op == histories.ListOffsets && c.call.Spec == api.OffsetSpec_LATEST:
		c.answer.Offset = log.end()
	case c.call.Op == histories.ListOffsets:
		c.answer.Offset = log.start
	default:
		g.fetch(c, log)
	}
}

// fetch answers a fetch; one that has records may come from a replica that is
// behind.
func (g *generator) fetch(c *client, log *model) {
	asked, seen := c.call.Offset, log.end()
	if asked < log.start || asked > seen {
		c.code = api.Code_OFFSET_OUT_OF_RANGE
		c.answer = histories.Answer{LogStart: log.start, HighWatermark: seen}
		return
	}
	c.answer.LogStart = log.start
	if asked < seen && !c.call.Final {
		seen = api.Offset(g.rng.Between(int64(asked)+1, int64(seen)))
	}
	c.answer.HighWatermark = seen
	c.answer.Records = append([]histories.Record{}, log.records[asked:min(seen, asked+api.Offset(g.most))]...)
}

// complete tells the client, or leaves it in the dark.
func (g *generator) complete(c *client) {
	call := c.call
	c.call = nil
	switch {
	case c.code == api.Code_TIMED_OUT,
		c.code == api.Code_OK && (call.Op == histories.Produce || call.Op == histories.DeleteRecords) && g.rng.Chance(g.unknown, 100):
		g.rec.Info(g.tick(), c.process, api.Code_TIMED_OUT)
		*c = *g.client()
	case c.code == api.Code_OFFSET_OUT_OF_RANGE:
		g.rec.FailedFetch(g.tick(), c.process, c.code, c.answer)
	case c.code != api.Code_OK:
		g.rec.Fail(g.tick(), c.process, c.code)
	default:
		g.rec.Ok(g.tick(), c.process, c.answer)
	}
	if n := len(c.answer.Records); n > 0 && c.code == api.Code_OK {
		c.next[call.Partition] = call.Offset + api.Offset(n)
	}
}

// finalRead reads every partition from its log start to its end.
func (g *generator) finalRead() {
	c := g.client()
	for i := range g.logs {
		log := &g.logs[i]
		for next, more := log.start, true; more; {
			call := histories.Call{
				Op: histories.Fetch, Topic: topicName, Partition: api.Partition(i), Offset: next,
				Continue: next != log.start, Final: true,
			}
			c.call = &call
			g.rec.Invoke(g.tick(), c.process, call)
			c.code = api.Code_OK
			g.fetch(c, log)
			more = len(c.answer.Records) > 0
			next += api.Offset(len(c.answer.Records))
			g.complete(c)
		}
	}
}
