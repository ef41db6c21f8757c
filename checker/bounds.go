package checker

import (
	"cmp"
	"math"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// bound is what a read was told of the end of the log while it was under way:
// from least to most.
type bound struct {
	*histories.Operation
	least, most api.Offset
}

// noMost is the upper bound of a read that was told none.
const noMost api.Offset = math.MaxInt64

func (b *bound) exact() bool { return b.least == b.most }

// readBounds gives what the partition's reads were told of its end.
func (p *partition) readBounds() []bound {
	bounds := make([]bound, 0, len(p.fetches)+len(p.lists)+len(p.deletes))
	for _, list := range [][]*histories.Operation{p.fetches, p.lists, p.deletes} {
		for _, o := range list {
			b := bound{Operation: o, most: noMost}
			if start, ok := startSeen(o); ok {
				b.least = start
			}
			switch o.Call.Op {
			case histories.Fetch:
				p.fetchBound(&b)
			case histories.ListOffsets:
				listBound(&b)
			case histories.DeleteRecords:
				if o.Outcome == histories.Ok {
					b.least = max(b.least, o.Call.Offset)
				}
			}
			b.least = min(b.least, mostOffset)
			if b.most != noMost {
				b.most = min(max(b.most, -1), mostOffset)
			}
			if b.least > 0 || b.most != noMost {
				bounds = append(bounds, b)
			}
		}
	}
	return bounds
}

// listBound adds what a list offsets was told: the end, also where there is no record
// of a time stamp; or that there is one.
func listBound(b *bound) {
	o := b.Operation
	switch {
	case o.Outcome != histories.Ok || o.Call.Spec == api.OffsetSpec_EARLIEST:
	case o.Answer.Found:
		b.least = max(b.least, o.Answer.Offset+1)
	default:
		b.least, b.most = o.Answer.Offset, o.Answer.Offset
	}
}

// fetchBound adds what a fetch was told. A high watermark and records are true of
// some moment before it ended; "nothing here" and "out of range" of one while it
// was under way.
func (p *partition) fetchBound(b *bound) {
	o := b.Operation
	if o.Answer != nil {
		b.least = max(b.least, o.Answer.HighWatermark)
		for _, r := range o.Answer.Records {
			b.least = max(b.least, r.Offset+1)
		}
	}
	switch {
	case o.Outcome == histories.Ok && len(o.Answer.Records) == 0:
		b.most = o.Call.Offset
	case o.Outcome == histories.Fail && o.Code == api.Code_OFFSET_OUT_OF_RANGE:
		switch p.outOfRange(o) {
		case aboveEnd:
			b.most = o.Call.Offset - 1
		case belowStart:
			b.least = max(b.least, o.Call.Offset+1)
		case eitherEnd:
			p.report.Ambiguous++
		}
	}
}

// side is which end of the log an OUT_OF_RANGE answer is of.
type side uint8

const (
	// neither: the offset is below 0, and the answer tells nothing.
	neither side = iota
	aboveEnd
	belowStart
	eitherEnd
)

// outOfRange tells which side of the log a fetch was refused on: by what it was
// told besides, or because the log start cannot have been above what it asked for.
func (p *partition) outOfRange(o *histories.Operation) side {
	asked := o.Call.Offset
	switch {
	case asked < 0:
		return neither
	case asked == 0:
		return belowStart // no log ends before it
	case o.Answer != nil && o.Answer.LogStart > asked:
		return belowStart
	case o.Answer != nil && o.Answer.LogStart >= 0 && o.Answer.HighWatermark >= 0:
		return aboveEnd
	case !p.startMayExceed(asked, o.Completed):
		return aboveEnd
	}
	return eitherEnd
}

// gatherAsked prepares startMayExceed. A delete that failed asked for nothing.
func (p *partition) gatherAsked() {
	highest := api.Offset(0)
	for _, o := range p.deletes {
		switch {
		case o.Outcome == histories.Fail:
		case o.Call.Offset >= 0:
			highest = max(highest, o.Call.Offset)
		case o.Outcome == histories.Ok && o.Answer.LogStart >= 0:
			highest = max(highest, o.Answer.LogStart) // all that was there, once
		default:
			highest = noMost
		}
		p.asked = append(p.asked, highest)
	}
}

// startMayExceed: some delete records invoked before an event may have moved the
// log start above an offset.
func (p *partition) startMayExceed(offset api.Offset, before histories.Index) bool {
	if p.retention {
		return true
	}
	n, _ := slices.BinarySearchFunc(p.deletes, before, func(o *histories.Operation, i histories.Index) int {
		return cmp.Compare(o.Invoked, i)
	})
	return n > 0 && p.asked[n-1] > offset
}

// startSeen gives the log start that an operation was told, if it was.
func startSeen(o *histories.Operation) (api.Offset, bool) {
	if o.Answer == nil {
		return 0, false
	}
	switch o.Call.Op {
	case histories.Produce, histories.Fetch, histories.DeleteRecords:
		return min(o.Answer.LogStart, mostOffset), o.Answer.LogStart >= 0
	case histories.ListOffsets:
		if o.Call.Spec == api.OffsetSpec_AT_TIME {
			return min(o.Answer.LogStart, mostOffset), o.Answer.LogStart >= 0
		}
		return min(o.Answer.Offset, mostOffset), o.Call.Spec == api.OffsetSpec_EARLIEST
	}
	return 0, false
}
