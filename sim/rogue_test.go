package sim

import (
	"math"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/prng"
)

// A rogue gets its good batches in, and is refused each of the others by its own code.
func TestRogueIsRefused(t *testing.T) {
	p := small(3, 20)
	p.Operations = nil
	p.Faults = []plan.Fault{{
		Kind: plan.RogueProducer, At: 1_000, Length: 15_000, Strength: 400, Target: plan.Target{Topic: p.Workload.Topic},
	}}
	r := Run(p, Options{})
	report(t, r)
	codes := make(map[api.Code]int)
	for _, e := range r.History.Events {
		if e.Op == histories.Produce && e.Kind != histories.Invoke {
			codes[e.Code]++
		}
	}
	for _, code := range []api.Code{api.Code_OK, api.Code_OUT_OF_ORDER_SEQUENCE, api.Code_PRODUCER_FENCED, api.Code_UNKNOWN_PRODUCER} {
		if codes[code] < 10 {
			t.Errorf("%d batches of 400 steps ended with %s: %v", codes[code], code, codes)
		}
	}
}

// Each kind of malformed request comes up, and a request says what is wrong with it.
func TestMalformedRequests(t *testing.T) {
	seen := make(map[string]bool)
	for i := range uint64(2000) {
		draw := func(purpose uint64, below int64) int64 { return prng.Scale(prng.Hash(i, purpose), below) }
		q, what := makeBad(draw, &api.TopicRef{Name: "t"}, 0)
		if q == nil || what == "" {
			t.Fatalf("request %d: %v %q", i, q, what)
		}
		seen[what] = true
	}
	if len(seen) != 49 {
		t.Errorf("%d kinds of requests: %v", len(seen), seen)
	}
	if n := recount([]byte{60: 1, 61: 1}, math.MaxInt32); len(n) != 62 {
		t.Errorf("%d bytes", len(n))
	}
}
