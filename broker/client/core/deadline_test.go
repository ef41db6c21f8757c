package core_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
)

// With no node up, an operation ends at its deadline; it was never sent.
func TestNobodyThere(t *testing.T) {
	s := newScene(t, core.Config{})
	for id := range api.NodeID(3) {
		s.world.SetUp(id+1, false)
	}
	ended := map[string]env.Time{}
	note := func(name string, definite bool) func(core.Result) {
		return func(r core.Result) {
			ended[name] = s.world.Now()
			if r.Err == nil || r.Definite != definite {
				t.Errorf("%s: %v, definite %v", name, r.Err, r.Definite)
			}
		}
	}
	s.client.Produce("t", 0, []batch.Record{{}}, core.ProduceOptions{Timeout: 3 * env.Second}, note("produce", true))
	s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, 3*env.Second, note("list", true))
	s.client.InitProducer(0, 0, 3*env.Second, note("init", false))
	s.run(10 * env.Second)
	for _, name := range []string{"produce", "list", "init"} {
		if at := ended[name]; at < 3*env.Second || at > 3*env.Second+20*env.Millisecond {
			t.Errorf("%s ended at %d ms", name, at/env.Millisecond)
		}
	}
}

// Records that could not be sent at all end with what was in the way.
func TestRecordsUnsent(t *testing.T) {
	for _, one := range []struct {
		mode core.Mode
		// answer of the nodes to the requests of which hit is true; nil is silence.
		hit    func(*api.Request) bool
		answer *api.Response
		want   string
	}{
		{core.Idempotent, isMetadata, nil, "no node said who leads it, of 3 that are known"},
		{core.Idempotent, isMetadata, failed(api.Code_META_UNAVAILABLE), "no node said who leads it; the last that was asked: META_UNAVAILABLE: scripted"},
		{core.Unacknowledged, isMetadata, failed(api.Code_META_UNAVAILABLE), "no node said who leads it; the last that was asked: META_UNAVAILABLE: scripted"},
		{core.Idempotent, func(q *api.Request) bool { return q.GetInitProducer() != nil }, nil, "no node gave the client a producer id"},
	} {
		s := newScene(t, core.Config{})
		s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) { return one.answer, one.hit(q) })
		r := s.await(func(done func(core.Result)) {
			s.client.Produce("t", 0, []batch.Record{{}}, core.ProduceOptions{Mode: one.mode, Timeout: env.Second}, done)
		})
		s.expect(r, api.Code_NOT_LEADER, true)
		if !strings.Contains(r.Err.GetMessage(), one.want) {
			t.Errorf("%q; want %q", r.Err.GetMessage(), one.want)
		}
	}
	s := newScene(t, core.Config{Linger: 10 * env.Second})
	r := s.await(func(done func(core.Result)) {
		s.client.Produce("t", 0, []batch.Record{{}}, core.ProduceOptions{Timeout: env.Second}, done)
	})
	if s.expect(r, api.Code_NOT_LEADER, true); !strings.Contains(r.Err.GetMessage(), "lingered") {
		t.Errorf("%q", r.Err.GetMessage())
	}
}

func isMetadata(q *api.Request) bool { return q.GetMetadata() != nil }

// For ever is a time to wait, too.
func TestEndlessTimeout(t *testing.T) {
	s := newScene(t, core.Config{AttemptTimeout: math.MaxInt64})
	s.run(env.Second)
	s.expect(s.await(func(done func(core.Result)) { s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, math.MaxInt64, done) }), api.Code_OK, true)
	s.expect(s.await(func(done func(core.Result)) {
		s.client.Produce("t", 0, []batch.Record{{}}, core.ProduceOptions{Timeout: math.MaxInt64}, done)
	}), api.Code_OK, true)
	s.expect(s.await(func(done func(core.Result)) {
		s.client.Fetch("t", 0, 0, core.FetchOptions{MaxWait: math.MaxInt64, Timeout: math.MaxInt64}, done)
	}), api.Code_OK, true)
}

// A fetch that may wait for longer than it has time asks its node to wait for less, so that
// it hears that there is nothing; each attempt by what is left.
func TestFetchWaitsWithinItsDeadline(t *testing.T) {
	s := newScene(t, core.Config{BackoffMin: 600 * env.Millisecond, BackoffMax: 600 * env.Millisecond})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	var waits []int32
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if q.GetFetch() != nil {
			waits = append(waits, q.GetFetch().MaxWaitMs)
		}
		return failed(api.Code_OVERLOADED), q.GetFetch() != nil && len(waits) == 1
	})
	for _, o := range []core.FetchOptions{
		{MaxWait: 5 * env.Second, Timeout: 2 * env.Second},
		{MaxWait: 5 * env.Second, Timeout: 6 * env.Second},
		{MaxWait: 5 * env.Second, Timeout: 30 * env.Second},
		{Timeout: 2 * env.Second},
	} {
		s.expect(s.await(func(done func(core.Result)) { s.client.Fetch("t", 0, 0, o, done) }), api.Code_OK, true)
	}
	if len(waits) != 5 || waits[1] >= waits[0] || waits[1] < 1000 {
		t.Fatalf("waits asked for: %v", waits)
	}
	if waits = slices.Delete(waits, 1, 2); !slices.Equal(waits, []int32{1500, 4500, 5000, 0}) {
		t.Errorf("waits asked for: %v", waits)
	}
}
