package checker

import (
	"fmt"
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// checkTimes holds what was found for time stamps to the records: the one at the offset
// has the time stamp, and no record between the log start and there is late enough.
// What stands at an offset never changes, so only the end of the log, which the judges
// of the order hold it to, depends on the moment.
func (p *partition) checkTimes() {
	var known stamps
	for _, o := range p.lists {
		if o.Outcome == histories.Ok && o.Call.Spec == api.OffsetSpec_AT_TIME {
			if known == nil {
				known = p.gatherStamps()
			}
			p.checkTime(o, known)
		}
	}
}

func (p *partition) checkTime(o *histories.Operation, all stamps) {
	found := o.Answer.Offset
	if o.Answer.Found {
		stamp, known := p.timeAt(found)
		switch {
		case found < o.Answer.LogStart:
			p.wrongTime(o, found, fmt.Sprintf("was told offset %d, which is below the log start %d that it was told", found, o.Answer.LogStart))
		case o.Answer.Time < o.Call.Time:
			p.wrongTime(o, found, fmt.Sprintf("was told the time stamp %d, which is before it", o.Answer.Time))
		case known && stamp != o.Answer.Time:
			p.wrongTime(o, found, fmt.Sprintf("was told the time stamp %d, and the record there has %d", o.Answer.Time, stamp))
		}
	}
	if first := all.first(max(o.Answer.LogStart, 0), o.Call.Time); first < min(found, api.Offset(len(p.slots))) {
		stamp, _ := p.timeAt(first)
		p.wrongTime(o, first, fmt.Sprintf("was told offset %d, though the record at %d has the time stamp %d", found, first, stamp))
	}
}

// stamps are the time stamps of a partition's records as a tree of maxima: its second half
// are those of the offsets, noStamp where none is known, and the one at i is the highest of
// those at 2i and 2i+1.
type stamps []int64

const noStamp = math.MinInt64

func (p *partition) gatherStamps() stamps {
	n := 1
	for n < len(p.slots) {
		n *= 2
	}
	tree := make(stamps, 2*n)
	for i := range n {
		tree[n+i] = noStamp
		if stamp, known := p.timeAt(api.Offset(i)); known {
			tree[n+i] = stamp
		}
	}
	for i := n - 1; i > 0; i-- {
		tree[i] = max(tree[2*i], tree[2*i+1])
	}
	return tree
}

// first is the first offset, from one on, whose record is known not to be before a time;
// noMost if there is none.
func (t stamps) first(from api.Offset, at int64) api.Offset {
	n := len(t) / 2
	if from >= api.Offset(n) {
		return noMost
	}
	at = max(at, noStamp+1)
	i := n + int(from)
	for t[i] < at {
		for i%2 == 1 {
			i /= 2 // all below is passed
		}
		if i == 0 {
			return noMost
		}
		i++
	}
	for i < n {
		if i *= 2; t[i] < at {
			i++
		}
	}
	return api.Offset(i - n)
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
