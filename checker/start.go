package checker

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

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
			x.lower = max(x.lower, rank(2*(min(o.Call.Offset, mostOffset)+1)))
		case o.Call.Op == histories.Fetch && o.Outcome == histories.Ok && len(o.Answer.Records) == 0:
			x.upper = rank(2 * min(max(o.Call.Offset, -1), mostOffset))
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

// checkExplained reports a log start that is higher than anyone had asked for.
func (p *partition) checkExplained(o *histories.Operation, start api.Offset) {
	if start <= 0 || p.startMayExceed(start-1, o.Deadline()) {
		return
	}
	p.add(Anomaly{
		Name: UnexplainedLogStart, Offset: start, Value: -1, Witness: witness(o),
		Message: fmt.Sprintf("%s was told the log start %d, and no delete records had asked for that", describe(o), start),
	})
}
