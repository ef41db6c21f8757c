package checker

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Biography gives, in order, every event that touched a record: its produce, and
// any that was given its offset; the reads of its value or of its offset; reads
// that were told the log ends before it; deletions up to it; and between them the
// changes of leader of its partition. Offset or value may be -1 for unknown; the
// other must be known.
func Biography(h *histories.History, key Key, offset api.Offset, value histories.Value) []string {
	operations, err := h.Operations()
	if err != nil {
		return nil
	}
	operations = slices.DeleteFunc(operations, func(o histories.Operation) bool {
		return Key{o.Call.Topic, o.Call.Partition} != key
	})
	b := biography{offset, value}
	if offset < 0 {
		b.offset = findOffset(operations, value)
	}
	told := make(map[histories.Index]bool)
	for i := range operations {
		o := &operations[i]
		if o.Call.Op == histories.Produce && b.sent(o) || o.Call.Op == histories.DeleteRecords && b.deleted(o) {
			told[o.Invoked], told[o.Completed] = true, true
		}
		told[o.Completed] = told[o.Completed] || o.Call.Op == histories.Fetch && b.read(o) || o.Call.Op == histories.ListOffsets && b.hidden(o)
	}
	var lines []string
	for i := range h.Events {
		e := &h.Events[i]
		led := e.Op == histories.Leader && Key{e.Note.Topic, e.Note.Partition} == key
		if led || told[e.Index] {
			lines = append(lines, line(e))
		}
	}
	return lines
}

// findOffset gives where a value was seen first.
func findOffset(operations []histories.Operation, value histories.Value) api.Offset {
	for i := range operations {
		o := &operations[i]
		if o.Answer == nil {
			continue
		}
		if k := slices.Index(o.Call.Values, value); k >= 0 {
			return o.Answer.Offset + api.Offset(k)
		}
		for _, r := range o.Answer.Records {
			if r.Value == value {
				return r.Offset
			}
		}
	}
	return histories.NoOffset
}

// biography says which operations belong to a record's life.
type biography struct {
	offset api.Offset
	value  histories.Value
}

// sent: the produce carried the value, or was given the offset.
func (b *biography) sent(o *histories.Operation) bool {
	if slices.Contains(o.Call.Values, b.value) {
		return true
	}
	return o.Answer != nil && b.offset >= o.Answer.Offset && b.offset < o.Answer.Offset+api.Offset(len(o.Call.Values))
}

// deleted: the call asked for the deletion of the offset.
func (b *biography) deleted(o *histories.Operation) bool {
	return b.offset >= 0 && (o.Call.Offset < 0 || o.Call.Offset > b.offset)
}

// read: a fetch was given the offset or the value, or was told that there is
// nothing at the offset or before it.
func (b *biography) read(o *histories.Operation) bool {
	if o.Answer != nil {
		for _, r := range o.Answer.Records {
			if r.Value == b.value || r.Offset == b.offset {
				return true
			}
		}
	}
	nothing := o.Outcome == histories.Ok && len(o.Answer.Records) == 0 && o.Call.Offset <= b.offset
	return nothing || o.Code == api.Code_OFFSET_OUT_OF_RANGE && o.Call.Offset == b.offset
}

// hidden: list offsets told that the log ends before the offset, or begins after
// it.
func (b *biography) hidden(o *histories.Operation) bool {
	switch {
	case o.Outcome != histories.Ok || b.offset < 0:
		return false
	case o.Call.Spec == api.OffsetSpec_EARLIEST:
		return o.Answer.Offset > b.offset
	case o.Answer.Found:
		return false
	}
	return o.Answer.Offset <= b.offset
}
