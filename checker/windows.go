package checker

import (
	"github.com/anishathalye/porcupine"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Windows of a partition that is too large for a raw search.
const (
	// windowOffsets is the length of a window.
	windowOffsets = 16
	// windows is how many are spread over the log.
	windows = 3
)

// window is a stretch of the log between two ends: what remains of every operation
// if one looks at the end of the log no lower than low and no higher than high. If
// the whole history has a legal order, so has each window; and a read that was
// told too low an end is illegal in any window with that end inside.
type window struct {
	p         *partition
	low, high api.Offset
	list      []porcupine.Operation
	// before is the operation that shows an end of at most low latest, after the
	// one that shows an end of at least high earliest; of all such these decide.
	before, after *porcupine.Operation
}

// searchWindows asks porcupine about stretches of the log with the operations' own
// intervals: spread evenly where the sweep found the partition legal, and at the
// ends in dispute where it did not. It says whether each came out as the sweep
// has it.
func (p *partition) searchWindows(bounds []bound) bool {
	var lows []api.Offset
	if p.report.Sweep == Linearizable {
		for i := range api.Offset(windows) {
			lows = append(lows, p.report.End*i/windows)
		}
	} else {
		lows = p.disputed
	}
	agree := true
	for _, low := range lows {
		w := p.window(low, bounds)
		if len(w.list) > mostRaw {
			continue
		}
		p.report.Windows++
		found := p.searchFrom(w.low, w.list, noneFree)
		agree = agree && (found == p.report.Sweep || found == OutOfBudget)
	}
	return agree
}

// window cuts a window out.
func (p *partition) window(low api.Offset, bounds []bound) *window {
	w := &window{p: p}
	w.low, _, _ = p.batchAt(low)
	_, w.high, _ = p.batchAt(w.low + windowOffsets)
	for i := range p.sends {
		s := &p.sends[i]
		switch {
		case s.base == histories.NoOffset:
		case s.end() <= w.low:
			w.take(s.Operation, s.deadline(), 0, w.low)
		case s.base >= w.high:
			w.take(s.Operation, s.deadline(), w.high, noMost)
		default:
			m := &move{Operation: s.Operation, size: api.Offset(s.size()), base: s.base}
			w.list = append(w.list, operation(m, s.deadline()))
		}
	}
	for i := range bounds {
		b := &bounds[i]
		w.take(b.Operation, b.Deadline(), b.least, b.most)
	}
	for _, o := range []*porcupine.Operation{w.before, w.after} {
		if o != nil {
			w.list = append(w.list, *o)
		}
	}
	return w
}

// take adds what a read, or an append elsewhere, says of the window.
func (w *window) take(o *histories.Operation, deadline histories.Index, least, most api.Offset) {
	below, above := most <= w.low, least >= w.high
	switch {
	case least <= w.low && most >= w.high:
		return
	case below && least <= w.low && w.before != nil && int64(o.Invoked) < w.before.Call:
		return
	case above && most >= w.high && w.after != nil && int64(deadline) > w.after.Return:
		return
	}
	m := &move{Operation: o, base: histories.NoOffset, least: min(max(least, w.low), w.high), most: min(max(most, w.low), w.high)}
	x := operation(m, deadline)
	switch {
	case below && least <= w.low:
		w.before = &x
	case above && most >= w.high:
		w.after = &x
	default:
		w.list = append(w.list, x)
	}
}
