package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// checkPolls holds every fetch to the order of the log: within its records, to
// what was asked for, and to where its process stood.
func (p *partition) checkPolls() {
	// positions[q] is where process q stands: one past the last record it was given.
	type position struct {
		next api.Offset
		by   *histories.Operation
	}
	positions := make(map[histories.Process]position)
	for _, o := range p.fetches {
		if before, known := positions[o.Process]; o.Call.Continue && known && o.Call.Offset != before.next {
			p.jump(o, before.by, o.Call.Offset, before.next)
		}
		if o.Answer == nil || len(o.Answer.Records) == 0 {
			continue
		}
		records := o.Answer.Records
		if records[0].Offset != o.Call.Offset {
			p.jump(o, nil, records[0].Offset, o.Call.Offset)
		}
		p.checkRecords(o)
		positions[o.Process] = position{records[len(records)-1].Offset + 1, o}
		if o.Outcome != histories.Ok {
			// The client may or may not go on behind what a failed fetch gave it.
			delete(positions, o.Process)
		}
	}
}

// jump reports a fetch that began elsewhere than it should.
func (p *partition) jump(o, before *histories.Operation, got, want api.Offset) {
	a := Anomaly{Name: PollSkip, Offset: got, Value: -1, Witness: witness(before, o)}
	if got < want {
		a.Name = NonmonotonicPoll
	}
	if before == nil {
		a.Message = fmt.Sprintf("%s was given offset %d first", describe(o), got)
	} else {
		a.Message = fmt.Sprintf("%s began at offset %d, though %s had left process %d at %d", describe(o), got, describe(before), o.Process, want)
	}
	p.add(a)
}

// checkRecords checks the order of one fetch's records, and that they are committed as far
// as it was told itself.
func (p *partition) checkRecords(o *histories.Operation) {
	records := o.Answer.Records
	if last, mark := records[len(records)-1], o.Answer.HighWatermark; mark != histories.NoOffset && last.Offset >= mark {
		p.add(Anomaly{
			Name: UncommittedRead, Offset: last.Offset, Value: last.Value, Witness: witness(o),
			Message: fmt.Sprintf("%s was given offset %d, and its high watermark is %d", describe(o), last.Offset, mark),
		})
	}
	for i := 1; i < len(records); i++ {
		last, here := records[i-1], records[i]
		a := Anomaly{Offset: here.Offset, Value: here.Value, Witness: witness(o)}
		switch {
		case here.Offset == last.Offset+1:
			continue
		case here.Offset > last.Offset:
			a.Name = IntPollSkip
		default:
			a.Name = IntNonmonotonicPoll
		}
		a.Message = fmt.Sprintf("%s was given offset %d right after offset %d", describe(o), here.Offset, last.Offset)
		p.add(a)
	}
}

// checkSends holds the batches of each process, and of each producer, to the order
// in which they were sent.
func (p *partition) checkSends() {
	lasts := make(map[histories.Process]*send)
	var numbered []*send
	for i := range p.sends {
		s := &p.sends[i]
		if s.Call.Producer != 0 && (s.base != histories.NoOffset || s.Outcome != histories.Fail) {
			numbered = append(numbered, s)
		}
		if s.base == histories.NoOffset {
			continue
		}
		if last := lasts[s.Process]; last != nil && s.base < last.base {
			p.disorder(NonmonotonicSend, last, s, "were sent by one process one after the other")
		}
		lasts[s.Process] = s
	}
	slices.SortFunc(numbered, func(a, b *send) int {
		return cmp.Or(
			cmp.Compare(a.Call.Producer, b.Call.Producer), cmp.Compare(a.Call.Epoch, b.Call.Epoch),
			cmp.Compare(a.Call.Sequence, b.Call.Sequence), cmp.Compare(a.Invoked, b.Invoked))
	})
	p.checkSequences(numbered)
	p.checkProducers(slices.DeleteFunc(numbered, func(s *send) bool { return s.base == histories.NoOffset }))
}

// checkSequences holds each producer's batches, by epoch and sequence, to having no gap,
// except where one whose fate is unknown may stand, and no sequence twice. Each epoch
// begins at 0.
func (p *partition) checkSequences(sends []*send) {
	var before, placed *send // the last one, and the last whose offset is known
	var reach int64          // one past the sequences that the epoch's batches so far may have
	for _, s := range sends {
		if before == nil || before.Call.Producer != s.Call.Producer || before.Call.Epoch != s.Call.Epoch {
			before, placed, reach = nil, nil, 0
		}
		first := int64(s.Call.Sequence)
		switch {
		case s.base == histories.NoOffset:
		case first > reach:
			p.outOfSequence(s, before, fmt.Sprintf("begins at sequence %d, and no batch before it goes beyond %d", first, reach))
		case placed != nil && first < int64(placed.Call.Sequence)+int64(placed.size()):
			p.outOfSequence(s, placed, "has sequences that another batch has too")
		}
		if before, reach = s, max(reach, first+int64(s.size())); s.base != histories.NoOffset {
			placed = s
		}
	}
}

func (p *partition) outOfSequence(s, other *send, why string) {
	a := Anomaly{Name: BrokenSequence, Offset: s.base, Value: s.Call.Values[0], Witness: witness(s.Operation)}
	if other != nil {
		a.Witness = witness(other.Operation, s.Operation)
	}
	a.Message = fmt.Sprintf("%s stands at offset %d and %s", describe(s.Operation), s.base, why)
	p.add(a)
}

// checkProducers holds the offsets of idempotent batches, by epoch and sequence, to that
// order.
func (p *partition) checkProducers(sends []*send) {
	// Sequences come round to 0 after 2^31-1; so far apart, two do not compare.
	const far = 1 << 30
	for i := 1; i < len(sends); i++ {
		a, b := sends[i-1], sends[i]
		if a.Call.Producer != b.Call.Producer || a.base < b.base {
			continue
		}
		switch {
		case a.Call.Epoch != b.Call.Epoch:
			p.disorder(Unfenced, a, b, "are of one producer, the second of a newer epoch")
		case b.Call.Sequence-a.Call.Sequence < far && a.Process != b.Process:
			p.disorder(NonmonotonicSend, a, b, "are of one producer, by ascending sequence")
		}
	}
}

// disorder reports two batches that stand the wrong way round.
func (p *partition) disorder(name Name, first, second *send, why string) {
	p.add(Anomaly{
		Name: name, Offset: second.base, Value: second.Call.Values[0], Witness: witness(first.Operation, second.Operation),
		Message: fmt.Sprintf("%s and %s %s, but stand at offsets %d and %d",
			describe(first.Operation), describe(second.Operation), why, first.base, second.base),
	})
}
