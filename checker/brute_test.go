package checker_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// brute searches for an order of the operations of a one-partition history, by
// trying them all: the slow, obvious oracle. It knows nothing of contents, holes,
// batches or ranks: its log is a list of values.
type brute struct {
	operations []histories.Operation
	// dead are the states from which no order leads on.
	dead map[string]bool
}

// bruteLegal says whether some order of the operations explains what they saw.
// Operations of unknown outcome may happen or not; failed ones do not.
func bruteLegal(h *histories.History) bool {
	all, err := h.Operations()
	if err != nil {
		panic(err)
	}
	b := &brute{dead: make(map[string]bool)}
	for _, o := range all {
		refused := o.Call.Op == histories.Fetch && o.Code == api.Code_OFFSET_OUT_OF_RANGE
		if o.Outcome == histories.Ok || o.Outcome == histories.Info && o.Call.Op == histories.Produce || refused {
			b.operations = append(b.operations, o)
		}
	}
	return b.search(make([]bool, len(b.operations)), nil)
}

// search extends an order by every operation that can come next.
func (b *brute) search(done []bool, log []histories.Value) bool {
	key := fmt.Sprint(done, log)
	if b.dead[key] {
		return false
	}
	first := histories.Never
	for i, o := range b.operations {
		if !done[i] && o.Deadline() < first {
			first = o.Deadline()
		}
	}
	if first == histories.Never {
		return true
	}
	for i := range b.operations {
		o := &b.operations[i]
		if done[i] || o.Invoked > first {
			continue
		}
		next, ok := apply(o, log)
		if !ok {
			continue
		}
		done[i] = true
		if b.search(done, next) {
			return true
		}
		done[i] = false
	}
	b.dead[key] = true
	return false
}

// apply says whether an operation can happen to a log, and what the log is then.
func apply(o *histories.Operation, log []histories.Value) ([]histories.Value, bool) {
	end := api.Offset(len(log))
	switch o.Call.Op {
	case histories.Produce:
		if o.Outcome == histories.Ok && o.Answer.Offset != end {
			return nil, false
		}
		return append(slices.Clone(log), o.Call.Values...), true
	case histories.ListOffsets:
		if o.Call.Spec == api.OffsetSpec_EARLIEST {
			return log, o.Answer.Offset == 0
		}
		return log, o.Answer.Offset == end
	}
	if o.Outcome == histories.Fail {
		return log, o.Call.Offset > end && o.Answer.HighWatermark <= end
	}
	if len(o.Answer.Records) == 0 {
		return log, o.Call.Offset >= end && o.Answer.HighWatermark <= end
	}
	next := o.Call.Offset
	for _, r := range o.Answer.Records {
		if r.Offset != next || next >= end || log[next] != r.Value {
			return nil, false
		}
		next++
	}
	return log, next <= o.Answer.HighWatermark && o.Answer.HighWatermark <= end
}

// show writes a history for a failing test, or its beginning.
func show(h *histories.History) string {
	const most = 4000
	var s strings.Builder
	if err := h.Write(&s); err != nil {
		panic(err)
	}
	return s.String()[:min(s.Len(), most)]
}
