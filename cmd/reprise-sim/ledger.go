package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/sim/plan"
)

// ledger is what an audit has counted.
type ledger struct {
	seeds   map[uint64]*outcome
	failed  int // seeds, which nothing is compared with
	entries []*entry
	marks   map[string]int
	trials  int
	stages  int // scenarios that were played
	// finds are trials and scenarios that failed, in words.
	finds []string
}

// entry is what is known of one knob.
type entry struct {
	knob
	planned, fired int
	// seeds in which it fired, in the order of their ends.
	seeds            []uint64
	tried, effective int
}

// trial is a plan with something taken out.
type trial struct {
	entry *entry
	plan  *plan.Plan
}

func newLedger() *ledger {
	l := &ledger{seeds: make(map[uint64]*outcome), marks: make(map[string]int)}
	for _, k := range knobs() {
		l.entries = append(l.entries, &entry{knob: k})
	}
	return l
}

// add takes the outcome of a seed in.
func (l *ledger) add(p *plan.Plan, o *outcome) {
	l.seeds[o.Seed] = o
	if !sound(o) {
		l.failed++
	}
	for _, a := range l.entries {
		planned := a.count(p)
		fired := planned
		if a.told {
			fired = o.Faults[a.name]
		}
		a.planned += planned
		a.fired += fired
		if fired > 0 && planned > 0 && sound(o) {
			a.seeds = append(a.seeds, o.Seed)
		}
	}
	l.mark(o)
}

func (l *ledger) mark(o *outcome) {
	for name, n := range o.Marks {
		l.marks[name] += n
	}
}

// staged takes the outcome of a scenario in.
func (l *ledger) staged(t task, o *outcome) {
	l.stages++
	l.mark(o)
	if o.Verdict != checker.Pass {
		l.finds = append(l.finds, fmt.Sprintf("%s: %s %s", again(t), o.Verdict, strings.Join(o.Anomalies, ", ")))
	}
}

// trial gives the plan of some seed in which a knob fired, with one of it taken out.
func (l *ledger) trial(a *entry, round int) (trial, bool) {
	if len(a.seeds) == 0 {
		return trial{}, false
	}
	slices.Sort(a.seeds)
	p := plan.Generate(a.seeds[round%len(a.seeds)])
	a.without(p, round/len(a.seeds)%a.count(p))
	return trial{entry: a, plan: p}, true
}

// tried takes the outcome of a trial in.
func (l *ledger) tried(t trial, o *outcome) {
	l.trials++
	if !sound(o) {
		l.finds = append(l.finds, fmt.Sprintf("the plan of seed %d fails without one %s: %s", o.Seed, t.entry.name, strings.Join(o.Anomalies, ", ")))
		return
	}
	t.entry.tried++
	if before := l.seeds[o.Seed]; before.Received != o.Received {
		t.entry.effective++
	}
}

// zeros says in words what was never there.
func (l *ledger) zeros() (found []string) {
	for _, a := range l.entries {
		switch {
		case a.planned == 0:
			found = append(found, a.name+" was never planned")
		case a.fired == 0:
			found = append(found, a.name+" has never fired")
		case a.tried == 0:
			found = append(found, a.name+" was never tried without: there was no time")
		case a.effective == 0:
			found = append(found, fmt.Sprintf("%s has no effect, in %d plans run again without one", a.name, a.tried))
		}
	}
	for _, m := range marks() {
		if l.marks[m] == 0 {
			found = append(found, fmt.Sprintf("mark %q was never hit", m))
		}
	}
	found = append(found, l.finds...)
	if l.failed > 0 {
		found = append(found, fmt.Sprintf("%d of %d seeds failed, and were not used", l.failed, len(l.seeds)))
	}
	return found
}

// report is the whole ledger for people.
func (l *ledger) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds, %d scenarios, %d plans run again\n", len(l.seeds), l.stages, l.trials)
	fmt.Fprintf(&b, "%-22s %9s %9s %7s  %s\n", "", "planned", "fired", "seeds", "effective")
	for _, a := range l.entries {
		fmt.Fprintf(&b, "%-22s %9d %9d %7d  %d of %d\n", a.name, a.planned, a.fired, len(a.seeds), a.effective, a.tried)
	}
	b.WriteString("marks\n")
	for _, m := range marks() {
		fmt.Fprintf(&b, "%9d  %s\n", l.marks[m], m)
	}
	zeros := l.zeros()
	for _, z := range zeros {
		fmt.Fprintf(&b, "FAIL: %s\n", z)
	}
	if len(zeros) == 0 {
		b.WriteString("every kind of fault has an effect, and every mark was hit\n")
	}
	return b.String()
}
