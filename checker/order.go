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
	p.checkJudges(bounds)
}

// checkJudges reports that the judges came to different answers, of the whole or
// of a window.
func (p *partition) checkJudges(bounds []bound) {
	sweep, porcupine := p.report.Sweep, p.report.Porcupine
	if sweep == OutOfBudget {
		return
	}
	what := fmt.Sprintf("porcupine found it %s", porcupine)
	if sweep == porcupine || porcupine == OutOfBudget {
		if p.report.Raw || p.searchWindows(bounds) {
			return
		}
		what = "porcupine came to the opposite for a window of it"
	}
	p.add(Anomaly{
		Name: JudgesDisagree, Offset: -1, Value: -1, Witness: []histories.Index{},
		Message: fmt.Sprintf("the rank sweep found the partition %s, %s: the checker is wrong", sweep, what),
	})
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
		p.disputed = append(p.disputed, api.Offset(v.x.upper/2))
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

// judgeLogStart sweeps the log start: a register that only grows, and only as far
// as somebody asked. What a fetch or produce was told of it was true of some
// moment before it ended; list offsets and delete records were told it exactly.
func (p *partition) judgeLogStart() {
	var items []item
	take := func(o *histories.Operation) {
		x := item{Operation: o, class: byFetch, upper: noUpper, invoke: o.Invoked, deadline: o.Deadline()}
		start, told := startSeen(o)
		if told {
			x.lower = rank(2 * start)
			p.checkExplained(o, start)
		}
		switch {
		case told && o.Outcome == histories.Ok && (o.Call.Op == histories.ListOffsets || o.Call.Op == histories.DeleteRecords):
			x.upper = x.lower
		case o.Call.Op == histories.Fetch && o.Outcome == histories.Fail && o.Code == api.Code_OFFSET_OUT_OF_RANGE && p.outOfRange(o) == belowStart:
			above := min(o.Call.Offset, mostOffset) + 1
			x.lower = max(x.lower, rank(2*above))
			if start < above {
				p.checkExplained(o, above)
			}
		case o.Call.Op == histories.Fetch && o.Outcome == histories.Ok && len(o.Answer.Records) == 0:
			x.upper = rank(2 * min(max(o.Call.Offset, -1), mostOffset))
		}
		if o.Call.Op == histories.DeleteRecords && o.Outcome == histories.Ok {
			p.checkDeleted(o)
			x.lower = max(x.lower, rank(2*min(o.Call.Offset, mostOffset)))
		}
		if x.lower > 0 || x.upper != noUpper {
			items = append(items, x)
		}
	}
	for i := range p.sends {
		take(p.sends[i].Operation)
	}
	for _, list := range [][]*histories.Operation{p.fetches, p.lists, p.deletes} {
		for _, o := range list {
			take(o)
		}
	}
	p.report.StartReads = len(items)
	violations, _ := sweep(items)
	for _, v := range violations {
		p.add(Anomaly{
			Name: LogStartRegress, Offset: api.Offset(v.x.upper / 2), Value: -1, Witness: witness(v.x.Operation, v.y.Operation),
			Message: fmt.Sprintf("%s was told a log start of at most %d, though %s, which was over before, had shown at least %d",
				describe(v.x.Operation), v.x.upper/2, describe(v.y.Operation), v.y.lower/2),
		})
	}
}

// checkDeleted reports an acknowledged delete that was told a log start below what it asked
// for.
func (p *partition) checkDeleted(o *histories.Operation) {
	if start, told := startSeen(o); told && start < o.Call.Offset {
		p.add(Anomaly{
			Name: LostDelete, Offset: start, Value: -1, Witness: witness(o),
			Message: fmt.Sprintf("%s asked for the deletion of all below offset %d and was told the log start %d", describe(o), o.Call.Offset, start),
		})
	}
}

// checkExplained reports a log start that is higher than anyone had asked for.
func (p *partition) checkExplained(o *histories.Operation, start api.Offset) {
	if start <= 0 || p.startMayExceed(start-1, o.Deadline()) {
		return
	}
	p.add(Anomaly{
		Name: UnexplainedLogStart, Offset: start, Value: -1, Witness: witness(o),
		Message: fmt.Sprintf("%s was told a log start of at least %d, and no delete records had asked for that", describe(o), start),
	})
}
