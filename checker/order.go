package checker

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// judgeOrder asks both judges whether the partition is linearizable.
func (p *partition) judgeOrder() {
	if p.broken {
		p.report.Sweep, p.report.Porcupine = NotJudged, NotJudged
		return
	}
	bounds := p.readBounds()
	p.measure(bounds)
	p.report.Reads = len(bounds)
	raw := p.rawSearch(bounds)
	switch p.fillHoles(bounds) {
	case Illegal:
		p.report.Sweep = Illegal
	case OutOfBudget:
		p.report.Sweep = OutOfBudget
	default:
		p.report.Sweep = p.sweepEnds(bounds)
	}
	p.report.Porcupine = p.secondOpinion(raw, bounds)
	if a, b := p.report.Sweep, p.report.Porcupine; a != b && a != OutOfBudget && b != OutOfBudget {
		p.add(Anomaly{
			Name: JudgesDisagree, Offset: -1, Value: -1, Witness: []histories.Index{},
			Message: fmt.Sprintf("the rank sweep found the partition %s, porcupine found it %s: the checker is wrong", a, b),
		})
	}
}

// measure finds the highest end that anybody saw.
func (p *partition) measure(bounds []bound) {
	for i := range bounds {
		p.report.End = max(p.report.End, bounds[i].least)
	}
	for i := range p.sends {
		if s := &p.sends[i]; s.base != histories.NoOffset {
			p.report.End = max(p.report.End, s.end())
		}
	}
}

// sweepEnds asks the rank sweep about the end of the log.
func (p *partition) sweepEnds(bounds []bound) Judgement {
	items, legal := p.rankItems(bounds)
	violations, pairs := sweep(items)
	p.report.Pairs = pairs
	for _, v := range violations {
		p.addViolation(v)
	}
	if !legal || len(violations) > 0 {
		return Illegal
	}
	return Linearizable
}

// addViolation reports a pair that no order explains.
func (p *partition) addViolation(v violation) {
	x, y := v.x, v.y
	// The record in question is the first that x says is not there, or x's own.
	a := Anomaly{Offset: api.Offset(x.upper / 2), Witness: witness(x.Operation, y.Operation)}
	a.Value = p.valueAt(a.Offset)
	switch x.class {
	case byList:
		a.Name = EndOffsetRegress
	case byFetch:
		a.Name = StaleRead
	default:
		a.Name = Nonlinearizable
	}
	a.Message = fmt.Sprintf("%s %s, though %s, which was over before, %s",
		describe(x.Operation), p.upperClaim(x), describe(y.Operation), p.lowerClaim(y))
	if x.Operation == y.Operation {
		a.Message = fmt.Sprintf("%s %s and %s", describe(x.Operation), p.upperClaim(x), p.lowerClaim(y))
	}
	p.add(a)
}

// valueAt gives the value at an offset, seen or filled in, or -1.
func (p *partition) valueAt(offset api.Offset) histories.Value {
	slot := p.at(offset)
	switch {
	case slot.seen:
		return slot.value
	case slot.send != noSend:
		s := &p.sends[slot.send]
		return s.Call.Values[offset-s.base]
	}
	return -1
}

// upperClaim says in words how an item bounds the end from above.
func (p *partition) upperClaim(x *item) string {
	if x.class == byAppend {
		return fmt.Sprintf("appended at offset %d", x.upper/2)
	}
	return fmt.Sprintf("was told an end of at most %d", x.upper/2)
}

// lowerClaim says in words how an item bounds the end from below.
func (p *partition) lowerClaim(y *item) string {
	return fmt.Sprintf("had shown an end of at least %d", (y.lower+1)/2)
}

// batchAt gives the edges of the batch that offset o-1 and o both belong to, if
// they do: what is strictly inside a batch was never an end of the log.
func (p *partition) batchAt(o api.Offset) (low, high api.Offset, inside bool) {
	if o <= 0 || o >= api.Offset(len(p.slots)) {
		return o, o, false
	}
	number := p.slots[o].send
	if number == noSend || p.slots[o-1].send != number {
		return o, o, false
	}
	s := &p.sends[number]
	return s.base, s.end(), true
}
