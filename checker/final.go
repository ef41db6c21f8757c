package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// finalRead is the full read at the end of the run: the client went through the
// offsets from first up to next.
type finalRead struct {
	first, next api.Offset
	// end was told that there is nothing at next, or that the log ended there or
	// before; nil if the read broke off.
	end *histories.Operation
	// got[o]: offset o was among its records; any[o]: among any fetch's.
	got, any []bool
	// highest is one past the highest offset of any fetch.
	highest api.Offset
}

// checkFinalRead looks for values that must be in the log and are not.
func (p *partition) checkFinalRead() {
	p.checkFacts()
	f := p.readFinal()
	p.report.FinalRead = p.finalReadIsEnough(&f)
	p.report.Unread = p.unread(&f)
	if p.deleted {
		return
	}
	for i := range p.slots {
		slot, offset := &p.slots[i], api.Offset(i)
		if !slot.seen || slot.by == nil && p.log == nil {
			continue
		}
		switch {
		case f.got[i]:
		case offset >= f.first && offset < f.next:
			p.missing(offset, slot, &f)
		case offset >= f.next && f.end != nil && slot.by != nil && slot.by.Deadline() < f.end.Invoked:
			p.missing(offset, slot, &f)
		case offset < f.first && p.log == nil && !f.any[i]:
			p.report.Unjudged++
		case offset >= f.next && !f.any[i] && slot.send != noSend && p.sends[slot.send].Outcome == histories.Ok:
			p.report.late++
		}
	}
}

// unread counts the acknowledged values that no fetch returned.
func (p *partition) unread(f *finalRead) (n int) {
	for i := range p.slots {
		if send := p.slots[i].send; send != noSend && p.sends[send].Outcome == histories.Ok && !f.any[i] {
			n++
		}
	}
	return n
}

// readFinal follows the final fetches from the lowest offset on.
func (p *partition) readFinal() finalRead {
	f := finalRead{got: make([]bool, len(p.slots)), any: make([]bool, len(p.slots))}
	var finals []*histories.Operation
	for _, o := range p.fetches {
		if o.Answer == nil {
			continue
		}
		final := o.Call.Final && o.Outcome == histories.Ok
		if final {
			finals = append(finals, o)
		}
		f.take(o.Answer.Records, final)
	}
	slices.SortFunc(finals, func(a, b *histories.Operation) int {
		return cmp.Or(cmp.Compare(a.Call.Offset, b.Call.Offset), cmp.Compare(a.Invoked, b.Invoked))
	})
	listed := p.listedEnds(&f)
	for i, o := range finals {
		if i == 0 {
			f.first, f.next = o.Call.Offset, o.Call.Offset
		}
		if o.Call.Offset > f.next && !o.Call.Continue {
			break
		}
		if records := o.Answer.Records; len(records) > 0 {
			f.next = max(f.next, records[len(records)-1].Offset+1)
			f.end = nil
		} else {
			f.next, f.end = o.Call.Offset, o
		}
	}
	if f.end == nil && listed != nil && listed.Answer.Offset <= f.next {
		f.end = listed
	}
	return f
}

// listedEnds takes in what a final list offsets told, in case nothing is there to
// be fetched, and gives the one that told the highest end.
func (p *partition) listedEnds(f *finalRead) (latest *histories.Operation) {
	for _, o := range p.lists {
		switch {
		case !o.Call.Final || o.Outcome != histories.Ok:
		case o.Call.Spec == api.OffsetSpec_EARLIEST:
			f.first, f.next = o.Answer.Offset, o.Answer.Offset
		case o.Call.Spec == api.OffsetSpec_AT_TIME:
		case latest == nil || o.Answer.Offset >= latest.Answer.Offset:
			latest = o
		}
	}
	return latest
}

// take notes which offsets a fetch returned.
func (f *finalRead) take(records []histories.Record, final bool) {
	for _, r := range records {
		f.highest = max(f.highest, r.Offset+1)
		if r.Offset >= 0 && r.Offset < api.Offset(len(f.any)) {
			f.any[r.Offset] = true
			f.got[r.Offset] = f.got[r.Offset] || final
		}
	}
}

// finalReadIsEnough: it went from the log start to the end, or nothing is there
// to be read.
func (p *partition) finalReadIsEnough(f *finalRead) bool {
	if p.deleted {
		return true
	}
	happened := false
	start := api.Offset(0)
	for _, list := range [][]*histories.Operation{p.fetches, p.lists, p.deletes} {
		for _, o := range list {
			happened = happened || o.Outcome == histories.Ok
			if low, ok := startSeen(o); ok {
				start = max(start, low)
			}
		}
	}
	for i := range p.sends {
		happened = happened || p.sends[i].Outcome != histories.Fail
	}
	return !happened || f.end != nil && f.first <= start
}

// missing reports a value that the final read should have had.
func (p *partition) missing(offset api.Offset, slot *slot, f *finalRead) {
	a := Anomaly{Name: Unseen, Offset: offset, Value: slot.value, Witness: witness(slot.by, f.end)}
	if !f.any[offset] && offset < f.highest {
		a.Name = LostWrite
	}
	a.Message = fmt.Sprintf("value %d stood at offset %d for %s, and the final read from offset %d to %d did not have it",
		slot.value, offset, describe(slot.by), f.first, f.next)
	p.add(a)
}

// checkFacts reports what clients were told stands in the log and does not.
func (p *partition) checkFacts() {
	if p.log == nil {
		return
	}
	end := api.Offset(len(p.log.Records))
	for i := range p.slots {
		p.checkFact(api.Offset(i), &p.slots[i], end)
	}
}

func (p *partition) checkFact(offset api.Offset, slot *slot, end api.Offset) {
	if offset < end || !slot.seen || slot.by == nil {
		return
	}
	p.broken = true
	p.add(Anomaly{
		Name: LostWrite, Offset: offset, Value: slot.value, Witness: witness(slot.by),
		Message: fmt.Sprintf("value %d stood at offset %d for %s, and the log at the end of the run ends at %d",
			slot.value, offset, describe(slot.by), end),
	})
}
