package core_test

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
)

// Batches behind a refused one come back to the queue in the order of their calls,
// whichever heard of it first.
func TestOrphansKeepTheirOrder(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if !isProduce(q) || s.world.Now() > 61*env.Second {
			return nil, false
		}
		switch records, _ := batch.Records(q.GetProduce().Batch, batch.NewCodecs()); string(records[0].Value) {
		case "1":
			return failed(api.Code_BATCH_TOO_LARGE), true
		case "2":
			// Comes to nothing, and says so last.
			id := q.Id
			s.world.At(s.world.Now()+100*env.Millisecond, func() {
				s.client.Receive(s.world.Endpoints()[0], &api.Message{Body: &api.Message_Response{Response: &api.Response{
					Id: id, Error: api.Errorf(api.Code_OVERLOADED, "scripted"),
				}}})
			})
			return nil, true
		}
		return failed(api.Code_OVERLOADED), true
	})
	for i := range 5 {
		s.send(core.Idempotent, fmt.Sprint(i+1), func(core.Result) {})
	}
	s.run(20 * env.Second)
	if s.log() != "0 2 3 4 5 " || s.client.Pending() != 0 {
		t.Error(s.log())
	}
}

// That a batch came before the one it follows is said at once, and heard late: once that one
// was sent again and appended. It is no gap.
func TestRefusalFromBeforeIsNoGap(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	began := s.world.Now()
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if !isProduce(q) || s.world.Now() > began+1500*env.Millisecond {
			return nil, false
		}
		if records, _ := batch.Records(q.GetProduce().Batch, batch.NewCodecs()); string(records[0].Value) == "2" {
			id := q.Id
			s.world.At(began+2500*env.Millisecond, func() {
				s.client.Receive(s.world.Endpoints()[0], &api.Message{Body: &api.Message_Response{Response: &api.Response{
					Id: id, Error: api.Errorf(api.Code_OUT_OF_ORDER_SEQUENCE, "scripted"),
				}}})
			})
		}
		return nil, true
	})
	var results []core.Result
	done := func(r core.Result) { results = append(results, r) }
	s.send(core.Idempotent, "1", done)
	s.run(env.Second)
	s.send(core.Idempotent, "2", done)
	s.run(20 * env.Second)
	if len(results) != 2 || results[0].Err != nil || results[1].Err != nil || s.log() != "0 1 2 " {
		t.Error(s.log(), results)
	}
}

// A partition that is forgotten while a timer of it is still armed, here for a deadline that was
// far off, is not forgotten again when it is written to anew.
func TestForgottenPartitionIsForgottenOnce(t *testing.T) {
	const minute = 60 * env.Second
	s := newScene(t, core.Config{})
	up := func(up bool) {
		for id := range api.NodeID(3) {
			s.world.SetUp(id+1, up)
		}
	}
	up(false)
	s.client.Produce("t", 0, []batch.Record{{Value: []byte("0")}}, core.ProduceOptions{Timeout: 30 * minute}, func(core.Result) {})
	s.run(11 * minute)
	up(true)
	s.run(19*minute - 500*env.Millisecond)
	// When the deadline comes, a record waits to be sent again.
	s.script(first(isProduce, nil))
	s.send(core.Idempotent, "1", func(core.Result) {})
	s.run(env.Second)
	s.send(core.Idempotent, "2", func(core.Result) {})
	s.run(10 * env.Second)
	if s.log() != "0 1 2 " {
		t.Error(s.log())
	}
}

func TestSequencesCountRecords(t *testing.T) {
	s := newScene(t, core.Config{})
	for i := range 10 {
		r := s.await(func(done func(core.Result)) {
			s.client.Produce("t", 0, make([]batch.Record, 3), core.ProduceOptions{}, done)
		})
		info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
		if err != nil || int(info.Sequence) != 3*i || int(r.Offset) != 3*i || info.BaseTimestamp == 0 {
			t.Fatalf("%+v, %v, %+v", info, err, r)
		}
	}
}

func TestPlainIsNotRepeatedInDoubt(t *testing.T) {
	s := newScene(t, core.Config{})
	s.script(first(isProduce, failed(api.Code_LEADERSHIP_LOST)))
	s.expect(s.produce(core.Plain, "a"), api.Code_LEADERSHIP_LOST, false)
	s.script(first(isProduce, failed(api.Code_OVERLOADED)))
	s.expect(s.produce(core.Plain, "b"), api.Code_OK, true)
	if s.log() != "b " {
		t.Error(s.log())
	}
}

func TestUnacknowledgedIsSentOnce(t *testing.T) {
	s := newScene(t, core.Config{})
	r := s.produce(core.Unacknowledged, "a")
	s.expect(r, api.Code_OK, false)
	if s.log() != "a " || r.Attempts != 1 {
		t.Error(s.log(), r.Attempts)
	}
}

func TestIdempotentIsAppendedOnce(t *testing.T) {
	for _, code := range []api.Code{api.Code_LEADERSHIP_LOST, api.Code_TIMED_OUT, api.Code_OVERLOADED, api.Code_STORAGE_FULL} {
		s := newScene(t, core.Config{})
		s.script(first(isProduce, failed(code)))
		s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
		if s.log() != "a " {
			t.Error(code, s.log())
		}
	}
}

// The second attempt says no; the first may still say yes.
func TestDefiniteErrorAfterDoubt(t *testing.T) {
	s := newScene(t, core.Config{})
	answers := []*api.Response{failed(api.Code_LEADERSHIP_LOST), failed(api.Code_CORRUPT_BATCH)}
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if !isProduce(q) || len(answers) == 0 {
			return nil, false
		}
		r := answers[0]
		answers = answers[1:]
		return r, true
	})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_LEADERSHIP_LOST, false)
	s.expect(s.produce(core.Idempotent, "b"), api.Code_OK, true)
	if s.marks["client replaces its producer epoch"] != 1 {
		t.Errorf("marks: %v", s.marks)
	}
	info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
	if err != nil || info.Epoch != 1 || info.Sequence != 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestUnknownProducer(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.script(first(isProduce, failed(api.Code_UNKNOWN_PRODUCER)))
	s.expect(s.produce(core.Idempotent, "b"), api.Code_OK, true)
	info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
	if err != nil || info.Producer != 2 || info.Sequence != 0 || s.log() != "a b " {
		t.Errorf("%+v, %v, %s", info, err, s.log())
	}
}

func TestFencedAndDuplicate(t *testing.T) {
	s := newScene(t, core.Config{})
	s.script(first(isProduce, failed(api.Code_PRODUCER_FENCED)))
	s.expect(s.produce(core.Idempotent, "a"), api.Code_PRODUCER_FENCED, true)
	s.script(first(isProduce, failed(api.Code_DUPLICATE_SEQUENCE)))
	s.expect(s.produce(core.Idempotent, "b"), api.Code_DUPLICATE_SEQUENCE, false)
}

// A batch that is refused for good takes those behind it neither with it nor into
// doubt.
func TestOneRefusedOfMany(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.script(first(isProduce, failed(api.Code_BATCH_TOO_LARGE)))
	results := make([]core.Result, 10)
	for i := range results {
		s.send(core.Idempotent, fmt.Sprint(i+1), func(r core.Result) { results[i] = r })
	}
	s.run(10 * env.Second)
	s.expect(results[0], api.Code_BATCH_TOO_LARGE, true)
	for i, r := range results[1:] {
		s.expect(r, api.Code_OK, true)
		if int(r.Offset) != i+1 {
			t.Errorf("offset %d of %d", r.Offset, i+2)
		}
	}
	if s.log() != "0 2 3 4 5 6 7 8 9 10 " {
		t.Error(s.log())
	}
}

func TestAtMostFiveInFlight(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) { return nil, isProduce(q) })
	s.requests = nil
	for i := range 10 {
		s.send(core.Idempotent, fmt.Sprint(i), func(core.Result) {})
	}
	s.run(env.Second)
	if len(s.requests) != 5 {
		t.Errorf("%d requests", len(s.requests))
	}
}

// While the oldest batch waits for an answer that got lost, no more are sent than
// the broker remembers, although those after it were answered.
func TestOldestStaysKnown(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	lost := false
	s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
		if lost || !isProduce(q) {
			return nil, false
		}
		lost = true
		s.world.Answer(id, q)
		return nil, true
	})
	s.requests = nil
	for i := range 10 {
		s.send(core.Idempotent, fmt.Sprint(i+1), func(r core.Result) { s.expect(r, api.Code_OK, true) })
	}
	s.run(env.Second)
	if len(s.requests) != 5 {
		t.Errorf("%d requests", len(s.requests))
	}
	s.run(10 * env.Second)
	if s.log() != "0 1 2 3 4 5 6 7 8 9 10 " || s.client.Pending() != 0 {
		t.Error(s.log())
	}
}

func TestCallersShareABatch(t *testing.T) {
	s := newScene(t, core.Config{Linger: 5 * env.Millisecond})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.requests = nil
	for i := range 10 {
		s.send(core.Idempotent, fmt.Sprint(i), func(r core.Result) {
			if int(r.Offset) != i+1 {
				t.Errorf("record %d at offset %d", i, r.Offset)
			}
		})
		s.run(100 * env.Microsecond)
	}
	s.run(env.Second)
	if len(s.requests) != 1 || s.client.Pending() != 0 {
		t.Errorf("%d requests, %d pending", len(s.requests), s.client.Pending())
	}
}

// Records that surely were not appended follow a topic that is made again.
func TestTopicMadeAgain(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.world.DeleteTopic("t")
	again := s.world.CreateTopic("t", 3)
	r := s.produce(core.Idempotent, "b")
	s.expect(r, api.Code_OK, true)
	if r.Topic != again.ID || r.Offset != 0 || s.log() != "b " {
		t.Errorf("%+v %s", r, s.log())
	}
}

// A partition that was not written to for long is forgotten, with its timers.
func TestIdleLane(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.run(20 * 60 * env.Second)
	s.expect(s.produce(core.Idempotent, "b"), api.Code_OK, true)
	info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
	if err != nil || info.Producer != 2 || s.log() != "a b " {
		t.Errorf("%+v, %v, %s", info, err, s.log())
	}
}

// Lost links are noticed at once, and nothing is appended twice.
func TestLost(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
		if isProduce(q) && len(s.requests) == 1 {
			s.world.Answer(id, q)
			s.world.Cut(id)
			return nil, true
		}
		return nil, false
	})
	s.requests = nil
	start := s.world.Now()
	var ended env.Time
	s.send(core.Idempotent, "b", func(r core.Result) { ended = s.world.Now(); s.expect(r, api.Code_OK, true) })
	s.run(10 * env.Second)
	if ended == 0 || ended-start > 500*env.Millisecond || s.log() != "a b " {
		t.Errorf("took %d ms: %s", (ended-start)/env.Millisecond, s.log())
	}
}
