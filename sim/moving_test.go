package sim

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/workloads"
)

func planOf(t *testing.T, kind string, seed uint64) *plan.Plan {
	t.Helper()
	p, err := plan.GenerateWorkload(kind, seed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func operationsOf(t *testing.T, r *Result) []histories.Operation {
	t.Helper()
	all, err := r.History.Operations()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A cluster whose nodes come and go all the time passes, and it did change.
func TestMembershipSeeds(t *testing.T) {
	left := 0
	for seed := uint64(1); seed <= 3; seed++ {
		r := Run(planOf(t, workloads.Membership, seed), Options{})
		report(t, r)
		if r.Verdict != checker.Pass {
			t.Errorf("seed %d is %s: %v", seed, r.Verdict, r.Reasons)
		}
		for _, kind := range []plan.Kind{plan.Join, plan.Leave, plan.Move, plan.Elect} {
			if r.Counts.Faults[string(kind)] == 0 {
				t.Errorf("seed %d: no %s", seed, kind)
			}
		}
		left += r.Counts.Faults[string(plan.Leave)]
	}
	if left < 9 {
		t.Errorf("in three runs %d nodes left", left)
	}
}

// With everything at once a run passes, and partitions that are added in it are written to
// and read by the group.
func TestMixedSeeds(t *testing.T) {
	for seed := uint64(1); seed <= 2; seed++ {
		p := planOf(t, workloads.Mixed, seed)
		r := Run(p, Options{})
		report(t, r)
		if r.Verdict != checker.Pass {
			t.Errorf("seed %d is %s: %v", seed, r.Verdict, r.Reasons)
		}
		added := api.Partition(p.Workload.Partitions)
		written, handed := 0, 0
		for _, o := range operationsOf(t, r) {
			switch {
			case o.Outcome != histories.Ok || o.Call.Topic != p.Workload.Topic || o.Call.Partition < added:
			case o.Call.Op == histories.Produce:
				written++
			case o.Call.Op == histories.Fetch && o.Call.Group != "":
				handed++
			}
		}
		if written < 20 || handed < 5 {
			t.Errorf("seed %d: to the partitions that were added, %d produces, and %d fetches of the group", seed, written, handed)
		}
	}
}

// All nodes are started again one by one, and nothing else happens: the clients, which try
// again whatever may be tried again, hear of none of it.
func TestRollingRestartLosesNoRequest(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		p, err := plan.GenerateScenario("rolling-restart", seed)
		if err != nil {
			t.Fatal(err)
		}
		r := Run(p, Options{})
		report(t, r)
		once := make(map[histories.Value]bool) // by their first values, produces that nobody repeats
		for i := range p.Operations {
			if o := &p.Operations[i]; o.Action == workloads.ProducePlain || o.Action == workloads.ProduceNone {
				once[o.Value(0)] = true
			}
		}
		operations := 0
		for _, o := range operationsOf(t, r) {
			operations++
			switch {
			case o.Outcome == histories.Ok, o.Code == api.Code_OFFSET_OUT_OF_RANGE, o.Call.Op == histories.InitProducer:
			case o.Call.Op == histories.CreateTopic && !o.Code.Definite(): // nobody repeats it in doubt
			case len(o.Call.Values) == 0 || !once[o.Call.Values[0]]:
				t.Errorf("seed %d: %+v ended with %v", seed, o.Call, o.Code)
			}
		}
		if operations < 2500 || r.Counts.Faults[string(plan.RollingRestart)] == 0 {
			t.Errorf("seed %d: %d operations and %d restarts", seed, operations, r.Counts.Faults[string(plan.RollingRestart)])
		}
	}
}

// A bucket runs empty at its rate, and not below.
func TestBucket(t *testing.T) {
	var b bucket
	const rate = 10_000
	for i := range env.Time(100) {
		b.add(i*100*env.Millisecond, rate, rate/10)
	}
	if b.bytes != rate/10 {
		t.Errorf("filled at its rate it holds %d bytes", b.bytes)
	}
	b.add(20*env.Second, rate, 5)
	if b.bytes != 5 {
		t.Errorf("after a pause it holds %d bytes, want the 5 that came since", b.bytes)
	}
	for i := range env.Time(100) {
		b.add(20*env.Second+i*80*env.Millisecond, rate, rate/10)
	}
	if b.bytes < 2*rate {
		t.Errorf("filled too fast for eight seconds it holds %d bytes", b.bytes)
	}
}
