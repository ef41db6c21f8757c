package checker

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// contents is which value stands where.
type contents struct {
	// slots[o] is what is known of offset o. A log cannot be longer than all that
	// was sent, so slots is that long, and what was seen beyond stands in beyond.
	slots  []slot
	beyond map[api.Offset]*slot
	// places[i] is where the i-th value sent to the partition was first seen.
	places []place
	// broken: offsets and values contradict each other, so there is no order to
	// judge.
	broken bool
}

// slot is what is known of one offset.
type slot struct {
	seen  bool
	value histories.Value
	// by saw it first; nil is the facts.
	by *histories.Operation
	// send is which produce of the partition stands here, or noSend.
	send int32
}

const noSend int32 = -1

// place is where a value was first seen.
type place struct {
	seen   bool
	offset api.Offset
	by     *histories.Operation
}

// mostOffset is the highest offset that is taken for one: a rank is twice that.
const mostOffset api.Offset = 1 << 60

// source is how somebody came to see a value at an offset.
type source uint8

const (
	inFacts source = iota
	acknowledged
	fetched
)

// readContents goes through everything that says what stands at an offset: the
// facts first, then acknowledgements, then fetches (of any outcome).
func (p *partition) readContents() {
	p.slots = make([]slot, p.values)
	for i := range p.slots {
		p.slots[i].send = noSend
	}
	p.beyond = make(map[api.Offset]*slot)
	p.places = make([]place, p.values)
	if p.log != nil {
		for _, r := range p.log.Records {
			p.see(r, nil, inFacts)
		}
	}
	for i := range p.sends {
		s := &p.sends[i]
		if s.Outcome != histories.Ok {
			continue
		}
		for k, v := range s.Call.Values {
			p.see(histories.Record{Offset: s.Answer.Offset + api.Offset(k), Value: v}, s.Operation, acknowledged)
		}
	}
	for _, o := range p.fetches {
		if o.Answer == nil {
			continue
		}
		for _, r := range o.Answer.Records {
			p.see(r, o, fetched)
		}
	}
}

// at gives the slot of an offset.
func (p *partition) at(offset api.Offset) *slot {
	if offset >= 0 && offset < api.Offset(len(p.slots)) {
		return &p.slots[offset]
	}
	if p.beyond[offset] == nil {
		p.beyond[offset] = &slot{send: noSend}
	}
	return p.beyond[offset]
}

// see takes in that a record was seen.
func (p *partition) see(r histories.Record, by *histories.Operation, how source) {
	if r.Corrupt {
		p.add(Anomaly{
			Name: Corrupted, Offset: r.Offset, Value: r.Value, Witness: witness(by),
			Message: fmt.Sprintf("%s was given a record at offset %d whose payload fails its checksum", describe(by), r.Offset),
		})
		return
	}
	if r.Offset < 0 || r.Offset > mostOffset {
		p.broken = true
		p.add(Anomaly{
			Name: InconsistentOffsets, Offset: r.Offset, Value: r.Value, Witness: witness(by),
			Message: fmt.Sprintf("%s saw value %d at %d, which is no offset", describe(by), r.Value, r.Offset),
		})
		return
	}
	slot := p.at(r.Offset)
	if slot.seen && slot.value == r.Value {
		return
	}
	from, ok := p.origins[r.Value]
	mine := ok && from.partition == p
	if slot.seen {
		p.contradict(slot, r, by)
	} else {
		*slot = slotOf(r.Value, by)
		if mine {
			slot.send = int32(from.send)
		}
	}
	if !mine {
		p.broken = true
		p.add(Anomaly{
			Name: Phantom, Offset: r.Offset, Value: r.Value, Witness: witness(by),
			Message: fmt.Sprintf("%s saw value %d at offset %d, and nobody sent it to this partition", describe(by), r.Value, r.Offset),
		})
		return
	}
	p.locate(r, by, from)
	p.checkFailed(r, by, &p.sends[from.send], how)
}

func slotOf(v histories.Value, by *histories.Operation) slot {
	return slot{seen: true, value: v, by: by, send: noSend}
}

// contradict reports that an offset held another value before.
func (p *partition) contradict(slot *slot, r histories.Record, by *histories.Operation) {
	p.broken = true
	p.add(Anomaly{
		Name: InconsistentOffsets, Offset: r.Offset, Value: r.Value, Witness: witness(slot.by, by),
		Message: fmt.Sprintf("offset %d held value %d for %s and value %d for %s",
			r.Offset, slot.value, describe(slot.by), r.Value, describe(by)),
	})
}

// locate notes where a value stands, and reports that it stood elsewhere.
func (p *partition) locate(r histories.Record, by *histories.Operation, from origin) {
	place := &p.places[p.sends[from.send].first+from.position]
	if !place.seen {
		place.seen, place.offset, place.by = true, r.Offset, by
		return
	}
	if place.offset == r.Offset {
		return
	}
	p.broken = true
	p.add(Anomaly{
		Name: Duplicate, Offset: r.Offset, Value: r.Value, Witness: witness(p.sends[from.send].Operation, place.by, by),
		Message: fmt.Sprintf("value %d stood at offset %d for %s and at offset %d for %s",
			r.Value, place.offset, describe(place.by), r.Offset, describe(by)),
	})
}

// checkFailed reports that a value is there whose produce was told that it is not.
func (p *partition) checkFailed(r histories.Record, by *histories.Operation, s *send, how source) {
	if s.Outcome != histories.Fail {
		return
	}
	a := Anomaly{Name: G1a, Offset: r.Offset, Value: r.Value, Witness: witness(s.Operation, by)}
	if how == inFacts {
		a.Name = DefiniteError
	}
	a.Message = fmt.Sprintf("%s saw value %d at offset %d, though %s was told that it did not happen (%v)",
		describe(by), r.Value, r.Offset, describe(s.Operation), s.Code)
	p.add(a)
}

// placeSends gives every produce that was seen its base offset, and checks that
// the values of a batch stand together and in order.
func (p *partition) placeSends() {
	for i := range p.sends {
		s := &p.sends[i]
		var last *place
		position := 0
		for k := range s.Call.Values {
			here := &p.places[s.first+k]
			if !here.seen {
				continue
			}
			if last == nil {
				p.placeSend(s, k, here)
			} else if here.offset-last.offset != api.Offset(k-position) {
				p.tornSend(s, k, last, here)
			}
			last, position = here, k
		}
		if s.base != histories.NoOffset {
			p.fillBatch(s, int32(i))
		}
	}
}

// placeSend puts a batch where its k-th value was seen.
func (p *partition) placeSend(s *send, k int, seen *place) {
	if seen.offset >= api.Offset(k) {
		s.base = seen.offset - api.Offset(k)
		return
	}
	p.broken = true
	p.add(Anomaly{
		Name: InconsistentOffsets, Offset: seen.offset, Value: s.Call.Values[k], Witness: witness(s.Operation, seen.by),
		Message: fmt.Sprintf("value %d, number %d of its batch, stood at offset %d for %s", s.Call.Values[k], k, seen.offset, describe(seen.by)),
	})
}

// tornSend reports that the k-th value of a batch and the one seen before it do not
// stand as they were sent.
func (p *partition) tornSend(s *send, k int, earlier, later *place) {
	p.broken = true
	a := Anomaly{Name: IntSendSkip, Offset: later.offset, Value: s.Call.Values[k], Witness: witness(s.Operation, earlier.by, later.by)}
	if later.offset < earlier.offset {
		a.Name = IntNonmonotonicSend
	}
	a.Message = fmt.Sprintf("%s sent one batch, two values of which stand at offsets %d and %d", describe(s.Operation), earlier.offset, later.offset)
	p.add(a)
}

// fillBatch gives every offset of a batch to it: where one value was seen, the
// others stand too.
func (p *partition) fillBatch(s *send, number int32) {
	for k, v := range s.Call.Values {
		slot := p.at(s.base + api.Offset(k))
		if slot.seen && slot.value != v {
			if !p.broken {
				p.contradict(slot, histories.Record{Offset: s.base + api.Offset(k), Value: v}, s.Operation)
			}
			continue
		}
		if !slot.seen {
			*slot = slotOf(v, s.Operation)
		}
		slot.send = number
	}
}
