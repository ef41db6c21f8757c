package sim

import (
	"testing"

	"github.com/reprise-mq/reprise/sim/plan"
)

// What a fault does shows in what was received; a fault that does nothing shows in
// the trace alone, where its own record is.
func TestReceived(t *testing.T) {
	run := func(f ...plan.Fault) *Result {
		p := small(3, 6)
		p.Faults = f
		r := Run(p, Options{Received: true})
		report(t, r)
		return r
	}
	fault := plan.Fault{Kind: plan.SlowDisk, At: 2_000, Length: 2_000, Target: plan.Target{Node: 1}, Strength: 1}
	base, nothing := run(), run(fault)
	fault.Strength = 30
	something := run(fault)
	switch {
	case base.Received == "" || nothing.Counts.Faults[string(plan.SlowDisk)] != 1:
		t.Error("nothing was recorded, or the fault has not fired")
	case base.Received != nothing.Received:
		t.Error("a disk as fast as before has an effect")
	case base.Trace == nothing.Trace:
		t.Error("the fault left no record in the trace")
	case base.Received == something.Received:
		t.Error("a slow disk has no effect")
	}
	if r := Run(small(3, 2), Options{}); r.Received != "" {
		t.Error("nobody asked")
	}
}
