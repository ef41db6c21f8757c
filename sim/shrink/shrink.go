// Package shrink reduces a plan that fails to a small one that still fails: fewer
// faults, clients, operations, nodes and partitions, less time, plainer settings.
//
// It goes by delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", 2002): parts of one kind are taken out in ever smaller
// chunks, for as long as what is left still fails, until no part can go alone. The
// plan keeps its seed, and what a run draws belongs to the thing that it is drawn
// for, so that to take one part out moves the others as little as can be.
//
// It owns which candidates are tried, and in which order: always the same. It never
// runs a plan, and has no clock; its caller does both.
package shrink

import (
	"slices"

	"github.com/reprise-mq/reprise/sim/digest"
	"github.com/reprise-mq/reprise/sim/plan"
)

// Outcome says what came of a candidate.
type Outcome struct {
	// Fails: it fails in the way that is looked for.
	Fails bool
	// At is when in the plan's time that was plain, so that nothing later can have
	// to do with it; 0 if that is not known.
	At plan.Milliseconds
}

// Options say how to shrink. All three are needed.
type Options struct {
	// Try runs a candidate, which it must not change.
	Try func(*plan.Plan) Outcome
	// Over reports whether there is no more time; the smallest plan so far is the
	// result then.
	Over func() bool
	// Tell hears of every try.
	Tell func(Progress)
}

// Progress is how far it has come.
type Progress struct {
	// Stage is what is being taken out.
	Stage string
	Tries int
	// Best is the smallest plan so far that fails; not to be changed.
	Best *plan.Plan
}

// maxRounds bounds how often everything is tried again because something changed.
const maxRounds = 8

// shrinker is one reduction under way.
type shrinker struct {
	Options
	best *plan.Plan
	// at is when the best plan has failed, if that is known.
	at    plan.Milliseconds
	stage string
	tries int
	// tried are the candidates so far, by their digests.
	tried map[string]bool
}

// Shrink gives the smallest plan that it finds. The plan itself must fail, at the
// time given if that is known, else 0; it is not changed. The result is marked as
// small: the thresholds of the standard plan do not apply to it.
func Shrink(p *plan.Plan, at plan.Milliseconds, o Options) *plan.Plan {
	s := &shrinker{Options: o, best: clone(p), at: at, tried: make(map[string]bool)}
	s.best.Small, s.best.Scenario = true, nil
	s.tried[fingerprint(s.best)] = true
	for range maxRounds {
		if before := s.best; s.round() == before || s.Over() {
			break
		}
	}
	return s.best
}

// round tries everything once, and gives the best plan then. What takes much away
// at once comes first, since what is left runs faster.
func (s *shrinker) round() *plan.Plan {
	const coarse = 8 // chunks that a first pass cuts operations and faults into
	s.cut()
	s.reduce(clients, 1)
	s.reduce(operations, len(s.best.Operations)/coarse)
	s.reduce(faults, len(s.best.Faults)/coarse)
	s.cut()
	s.compress()
	s.fewerNodes()
	s.reduce(partitions, 1)
	s.reduce(faults, 1)
	s.compress()
	s.reduce(operations, 1)
	s.simplify()
	s.shorten()
	return s.best
}

// try runs the best plan with a change, and takes it if it still fails.
func (s *shrinker) try(change func(*plan.Plan)) bool {
	if s.Over() {
		return false
	}
	candidate := clone(s.best)
	change(candidate)
	key := fingerprint(candidate)
	if s.tried[key] {
		return false
	}
	s.tried[key] = true
	s.tries++
	outcome := s.Try(candidate)
	if outcome.Fails {
		s.best, s.at = candidate, outcome.At
	}
	s.Tell(Progress{Stage: s.stage, Tries: s.tries, Best: s.best})
	return outcome.Fails
}

// cut takes out what only begins after the failure was plain.
func (s *shrinker) cut() {
	if s.at <= 0 {
		return
	}
	s.stage = "what comes after"
	end := s.at
	s.try(func(p *plan.Plan) {
		p.Faults = slices.DeleteFunc(p.Faults, func(f plan.Fault) bool { return f.At > end })
		p.Operations = slices.DeleteFunc(p.Operations, late(end))
	})
}

// kind is one kind of part that a plan has a list of.
type kind struct {
	name  string
	count func(*plan.Plan) int
	// remove takes the parts from up to, not including, to out.
	remove func(p *plan.Plan, from, to int)
}

// reduce takes parts of a kind out, in chunks of half of them and then ever
// smaller, down to a size. At size 1 it goes on until each part that is left is
// needed by itself. Later parts go first: they depend on earlier ones, seldom the
// other way round.
func (s *shrinker) reduce(k kind, least int) {
	s.stage = k.name
	least = max(least, 1)
	for size := k.count(s.best); size >= least; size = min(size, k.count(s.best)+1) / 2 {
		for s.sweep(k, size) && size == 1 {
		}
	}
}

// sweep tries to take out each chunk of a size once.
func (s *shrinker) sweep(k kind, size int) (changed bool) {
	for to := k.count(s.best); to > 0; to -= size {
		from := max(to-size, 0)
		if s.try(func(p *plan.Plan) { k.remove(p, from, to) }) {
			changed = true
		}
	}
	return changed
}

func clone(p *plan.Plan) *plan.Plan {
	c := *p
	c.Faults, c.Operations = slices.Clone(p.Faults), slices.Clone(p.Operations)
	return &c
}

func fingerprint(p *plan.Plan) string {
	d := digest.New(nil)
	d.Note(0, "", "", 0, plan.Encode(p))
	return d.String()
}
