package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim/plan"
)

// Some plans have everything that can go wrong, and each can be taken out by itself.
func TestKnobs(t *testing.T) {
	for _, k := range knobs() {
		found := false
		for seed := uint64(1); seed <= 100 && !found; seed++ {
			p := plan.Generate(seed)
			n := k.count(p)
			if n == 0 {
				continue
			}
			found = true
			before := plan.Encode(p)
			k.without(p, n-1)
			if k.count(p) != n-1 || bytes.Equal(before, plan.Encode(p)) {
				t.Errorf("%s: %d in the plan, and %d when one is taken out", k.name, n, k.count(p))
			}
		}
		if !found {
			t.Errorf("no plan has %s", k.name)
		}
	}
}

// audited gives a ledger in which everything is as it must be.
func audited() *ledger {
	l := *good()
	l.seeds, l.marks, l.entries = maps.Clone(l.seeds), maps.Clone(l.marks), slices.Clone(l.entries)
	for i, e := range l.entries {
		own := *e
		l.entries[i] = &own
	}
	return &l
}

var good = sync.OnceValue(func() *ledger {
	l := newLedger()
	for seed := uint64(1); seed <= 100; seed++ {
		p := plan.Generate(seed)
		o := &outcome{Seed: seed, Verdict: checker.Pass, Received: "base", Faults: map[string]int{}, Marks: map[string]int{}}
		for _, e := range l.entries {
			if e.told {
				o.Faults[e.name] = e.count(p)
			}
		}
		for _, m := range marks() {
			o.Marks[m] = 1
		}
		l.add(p, o)
	}
	for round := range 3 {
		for _, e := range l.entries {
			if try, ok := l.trial(e, round); ok {
				l.tried(try, &outcome{Seed: try.plan.Seed, Verdict: checker.Pass, Received: "changed"})
			}
		}
	}
	return l
})

// Each zero fails the audit, by name.
func TestZeros(t *testing.T) {
	if l := audited(); len(l.zeros()) != 0 || !strings.Contains(l.report(), "3 of 3") {
		t.Fatal(l.report())
	}
	for want, spoil := range map[string]func(*ledger){
		"crash was never planned":   func(l *ledger) { l.entries[0].planned = 0 },
		"crash has never fired":     func(l *ledger) { l.entries[0].fired = 0 },
		"crash was never tried":     func(l *ledger) { l.entries[0].tried = 0 },
		"crash has no effect, in 3": func(l *ledger) { l.entries[0].effective = 0 },
		"was never hit":             func(l *ledger) { l.marks[marks()[0]] = 0 },
		"1 of 101 seeds failed":     func(l *ledger) { l.add(plan.Generate(101), &outcome{Seed: 101, Verdict: checker.Fail}) },
		"seed 1 fails without one":  func(l *ledger) { l.tried(trial{l.entries[0], nil}, &outcome{Seed: 1, Verdict: checker.Fail}) },
	} {
		l := audited()
		spoil(l)
		if zeros := l.zeros(); len(zeros) != 1 || !strings.Contains(zeros[0], want) || !strings.Contains(l.report(), "FAIL: ") {
			t.Errorf("%s: %v", want, zeros)
		}
	}
}

// A plan that receives the same without something shows no effect.
func TestNoEffect(t *testing.T) {
	l := audited()
	e := l.entries[0]
	before := e.effective
	try, _ := l.trial(e, 0)
	l.tried(try, &outcome{Seed: try.plan.Seed, Verdict: checker.Pass, Received: "base"})
	if e.effective != before || e.tried != 4 {
		t.Errorf("%d of %d", e.effective, e.tried)
	}
}

func TestAuditUsage(t *testing.T) {
	for _, args := range []string{"audit", "audit --seeds 5", "audit --seeds 1..2 --samples 0", "audit --seeds 1..2 --budget -1s", "audit x"} {
		if code, _, stderr := call(strings.Fields(args)...); code != cli.Usage {
			t.Errorf("%s: exit %d, %s", args, code, stderr)
		}
	}
}
