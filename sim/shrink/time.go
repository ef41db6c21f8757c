package shrink

import (
	"slices"

	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
)

// Times that a short plan has.
const (
	// gap is what is left between two things that happen one after the other.
	gap plan.Milliseconds = 100
	// rest is how long the first phase goes on after the last thing in it.
	rest plan.Milliseconds = 1_000
	// halvings bounds how often one length is halved.
	halvings = 4
)

// end ends the first phase after the last thing in it.
func end(p *plan.Plan) { p.Safety = min(p.Safety, last(p)+rest) }

// compress ends the first phase early, and closes all gaps at once; it reports
// whether none is left.
func (s *shrinker) compress() bool {
	s.stage = "time"
	s.try(end)
	return len(gaps(s.best)) == 0 || s.try(func(p *plan.Plan) { closeGaps(p); end(p) })
}

// shorten takes as much time away as it can, and makes faults shorter.
func (s *shrinker) shorten() {
	if !s.compress() {
		for _, at := range gaps(s.best) {
			s.try(func(p *plan.Plan) { closeGap(p, at.from, at.to); end(p) })
		}
	}
	for i := range s.best.Faults {
		for range halvings {
			if s.best.Faults[i].Length < 2*gap || !s.try(func(p *plan.Plan) { p.Faults[i].Length /= 2; end(p) }) {
				break
			}
		}
	}
}

// span is a time in which nothing begins or ends.
type span struct{ from, to plan.Milliseconds }

// gaps are the spans that can be closed, the latest first.
func gaps(p *plan.Plan) []span {
	times := []plan.Milliseconds{0}
	for i := range p.Faults {
		f := &p.Faults[i]
		times = append(times, f.At, f.At+f.Length)
	}
	for i := range p.Operations {
		times = append(times, begins(p.Operations[i].At))
	}
	slices.Sort(times)
	var found []span
	for i := len(times) - 1; i > 0; i-- {
		if times[i]-times[i-1] > 2*gap {
			found = append(found, span{times[i-1], times[i]})
		}
	}
	return found
}

func closeGaps(p *plan.Plan) {
	for _, at := range gaps(p) {
		closeGap(p, at.from, at.to)
	}
}

// closeGap moves everything that begins at or after the end of a span to its begin.
func closeGap(p *plan.Plan, from, to plan.Milliseconds) {
	back := to - from - gap
	for i := range p.Faults {
		if f := &p.Faults[i]; f.At >= to {
			f.At -= back
		}
	}
	for i := range p.Operations {
		if o := &p.Operations[i]; begins(o.At) >= to {
			o.At -= histories.Time(back) * millisecond
		}
	}
}

// last is when the last thing of a plan begins or ends.
func last(p *plan.Plan) plan.Milliseconds {
	end := plan.Milliseconds(0)
	for i := range p.Faults {
		end = max(end, p.Faults[i].At+p.Faults[i].Length)
	}
	for i := range p.Operations {
		end = max(end, begins(p.Operations[i].At))
	}
	return end
}

func begins(at histories.Time) plan.Milliseconds { return plan.Milliseconds(at / millisecond) }
