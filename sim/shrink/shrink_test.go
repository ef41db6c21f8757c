package shrink_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/shrink"
	"github.com/reprise-mq/reprise/workloads"
)

// laboratory runs plans by a predicate in place of a cluster.
type laboratory struct {
	fails func(*plan.Plan) bool
	at    plan.Milliseconds
	tries int
	most  int
}

func (l *laboratory) shrink(p *plan.Plan) *plan.Plan {
	return shrink.Shrink(p, l.at, shrink.Options{
		Try: func(p *plan.Plan) shrink.Outcome {
			l.tries++
			return shrink.Outcome{Fails: l.fails(p), At: l.at}
		},
		Over: func() bool { return l.most > 0 && l.tries >= l.most },
		Tell: func(shrink.Progress) {},
	})
}

func hasOp(p *plan.Plan, want workloads.Op) bool {
	return slices.ContainsFunc(p.Operations, func(o workloads.Op) bool { return o.Client == want.Client && o.Number == want.Number })
}

func hasKind(p *plan.Plan, kind plan.Kind) bool {
	return slices.ContainsFunc(p.Faults, func(f plan.Fault) bool { return f.Kind == kind })
}

// busy is the first standard plan with faults of all these kinds.
func busy(t *testing.T, kinds ...plan.Kind) *plan.Plan {
	t.Helper()
	for seed := uint64(1); seed < 200; seed++ {
		p := plan.Generate(seed)
		if !slices.ContainsFunc(kinds, func(k plan.Kind) bool { return !hasKind(p, k) }) {
			return p
		}
	}
	t.Fatalf("no plan has %v", kinds)
	return nil
}

// What fails if it has two faults and two operations shrinks to exactly these.
func TestExactly(t *testing.T) {
	p := busy(t, plan.Crash, plan.Isolate)
	before := plan.Encode(p)
	first, second := p.Operations[700], p.Operations[2100]
	l := &laboratory{fails: func(p *plan.Plan) bool {
		return hasKind(p, plan.Crash) && hasKind(p, plan.Isolate) && hasOp(p, first) && hasOp(p, second)
	}}
	small := l.shrink(p)
	if len(small.Faults) != 2 || len(small.Operations) != 2 || !l.fails(small) {
		t.Errorf("%d faults and %d operations are left: %s", len(small.Faults), len(small.Operations), plan.Encode(small))
	}
	if small.Nodes != 1 || small.Safety > 5_000 || small.Blackout || !small.Small || small.Seed != p.Seed {
		t.Errorf("not plain: %s", plan.Encode(small))
	}
	if string(plan.Encode(p)) != string(before) {
		t.Error("the plan given was changed")
	}
	if _, err := plan.Decode(plan.Encode(small)); err != nil {
		t.Error(err)
	}
	t.Logf("%d tries", l.tries)
}

// Twice the same plan gives twice the same result, by the same tries.
func TestSameWay(t *testing.T) {
	p := busy(t, plan.Crash)
	l := func() *laboratory {
		return &laboratory{fails: func(p *plan.Plan) bool { return hasKind(p, plan.Crash) && len(p.Operations) > 6 }}
	}
	a, b := l(), l()
	if !reflect.DeepEqual(a.shrink(p), b.shrink(p)) || a.tries != b.tries {
		t.Errorf("%d tries, then %d", a.tries, b.tries)
	}
}

// A failure whose time is known takes what comes later out at once.
func TestCut(t *testing.T) {
	p := busy(t, plan.Crash)
	l := &laboratory{at: 10_000, most: 1, fails: func(*plan.Plan) bool { return true }}
	small := l.shrink(p)
	for _, f := range small.Faults {
		if f.At > l.at {
			t.Errorf("a fault at %d is left", f.At)
		}
	}
	if len(small.Operations) == 0 || len(small.Operations) >= len(p.Operations)/2 {
		t.Errorf("%d operations of %d are left", len(small.Operations), len(p.Operations))
	}
}

// When there is no more time, what it has found by then is the result, and fails.
func TestOver(t *testing.T) {
	p := busy(t, plan.Crash)
	l := &laboratory{most: 5, fails: func(p *plan.Plan) bool { return hasKind(p, plan.Crash) }}
	if small := l.shrink(p); !l.fails(small) || l.tries != 5 {
		t.Errorf("after %d tries", l.tries)
	}
}

// Whatever the predicate needs, what is left fails, and no fault or operation of it
// can go alone.
func TestMinimal(t *testing.T) {
	base := busy(t, plan.Crash, plan.Isolate)
	base.Operations = base.Operations[:200]
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfNDistinct(rapid.IntRange(0, len(base.Operations)-1), 0, 6, rapid.ID).Draw(t, "operations")
		need := rapid.SliceOfNDistinct(rapid.IntRange(0, len(base.Faults)-1), 0, 3, rapid.ID).Draw(t, "faults")
		l := &laboratory{fails: func(p *plan.Plan) bool {
			for _, i := range need {
				want := base.Faults[i].Number
				if !slices.ContainsFunc(p.Faults, func(f plan.Fault) bool { return f.Number == want }) {
					return false
				}
			}
			return !slices.ContainsFunc(ops, func(i int) bool { return !hasOp(p, base.Operations[i]) })
		}}
		small := l.shrink(base)
		if len(small.Faults) != len(need) || len(small.Operations) != len(ops) || !l.fails(small) {
			t.Fatalf("%d faults and %d operations are left of %d and %d", len(small.Faults), len(small.Operations), len(need), len(ops))
		}
	})
}
