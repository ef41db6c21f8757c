package checker

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// checkTimes holds what was found for time stamps to the records: the one at the offset
// has the time stamp, and no record between the log start and there is late enough.
// What stands at an offset never changes, so only the end of the log, which the judges
// of the order hold it to, depends on the moment.
func (p *partition) checkTimes() {
	for _, o := range p.lists {
		if o.Outcome == histories.Ok && o.Call.Spec == api.OffsetSpec_AT_TIME {
			p.checkTime(o)
		}
	}
}

func (p *partition) checkTime(o *histories.Operation) {
	found := o.Answer.Offset
	if o.Answer.Found {
		stamp, known := p.timeAt(found)
		switch {
		case o.Answer.Time < o.Call.Time:
			p.wrongTime(o, found, fmt.Sprintf("was told the time stamp %d, which is before it", o.Answer.Time))
		case known && stamp != o.Answer.Time:
			p.wrongTime(o, found, fmt.Sprintf("was told the time stamp %d, and the record there has %d", o.Answer.Time, stamp))
		}
	}
	for offset := max(o.Answer.LogStart, 0); offset < min(found, api.Offset(len(p.slots))); offset++ {
		if stamp, known := p.timeAt(offset); known && stamp >= o.Call.Time {
			p.wrongTime(o, offset, fmt.Sprintf("was told offset %d, though the record at %d has the time stamp %d", found, offset, stamp))
			return
		}
	}
}

// timeAt gives the time stamp of the record at an offset, if it is known.
func (p *partition) timeAt(offset api.Offset) (int64, bool) {
	if offset < 0 || offset >= api.Offset(len(p.slots)) || p.slots[offset].send == noSend {
		return 0, false
	}
	s := &p.sends[p.slots[offset].send]
	k := offset - s.base
	if s.base == histories.NoOffset || k < 0 || k >= api.Offset(len(s.Call.Times)) {
		return 0, false
	}
	return s.Call.Times[k], true
}

func (p *partition) wrongTime(o *histories.Operation, offset api.Offset, what string) {
	p.add(Anomaly{
		Name: WrongTimeOffset, Offset: offset, Value: p.valueAt(offset), Witness: witness(o),
		Message: fmt.Sprintf("%s, which looked for time stamp %d, %s", describe(o), o.Call.Time, what),
	})
}
