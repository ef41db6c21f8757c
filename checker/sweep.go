package checker

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// class is what bounds the end: it names the violation.
type class uint8

const (
	byAppend class = iota
	byFetch
	byList
	classes
)

// rank is a place on the line: 2e is "the end is e", 2o+1 "the record at o is
// appended".
type rank int64

const noUpper rank = math.MaxInt64

// item is one operation as the sweep sees it. It took effect between invoke and
// deadline, at a rank of low to high. What must not have come before it is judged
// by upper, what must not come after it by lower: those are high and low, but for
// a batch of several records, which stands for as many appends, its lowest and
// its highest.
type item struct {
	*histories.Operation
	class            class
	low, high        rank
	upper, lower     rank
	invoke, deadline histories.Index
}

// violation is two items such that y was over before x was invoked, and lies
// above it.
type violation struct{ x, y *item }

// sweep finds, for each class of x, the first violation by the rank of y; and
// counts the pairs whose order in time was checked.
func sweep(items []item) (violations []violation, pairs int64) {
	byUpper := make([]*item, len(items))
	for i := range items {
		byUpper[i] = &items[i]
	}
	byLower := slices.Clone(byUpper)
	slices.SortFunc(byUpper, func(a, b *item) int { return cmp.Or(cmp.Compare(a.upper, b.upper), cmp.Compare(a.invoke, b.invoke)) })
	slices.SortFunc(byLower, func(a, b *item) int { return cmp.Or(cmp.Compare(a.lower, b.lower), cmp.Compare(a.invoke, b.invoke)) })
	// latest[c] is the item of class c invoked last, of those below y.
	var latest [classes]*item
	var found [classes]bool
	below := 0
	for _, y := range byLower {
		for ; below < len(byUpper) && byUpper[below].upper < y.lower; below++ {
			x := byUpper[below]
			if l := latest[x.class]; l == nil || x.invoke > l.invoke {
				latest[x.class] = x
			}
		}
		pairs += int64(below)
		for c, x := range latest {
			if x != nil && !found[c] && y.deadline < x.invoke {
				found[c] = true
				violations = append(violations, violation{x, y})
			}
		}
	}
	return violations, pairs
}

// rankItems gives the items of a partition whose holes are filled. It reports, and
// is not legal, where an operation contradicts itself: an exact end inside a
// batch, or bounds that exclude each other.
func (p *partition) rankItems(bounds []bound) (items []item, legal bool) {
	items = make([]item, 0, len(p.sends)+len(bounds))
	legal = true
	for i := range p.sends {
		s := &p.sends[i]
		if s.base == histories.NoOffset {
			continue
		}
		low, high := rank(2*s.base+1), rank(2*s.end()-1)
		items = append(items, item{
			Operation: s.Operation, class: byAppend, low: low, high: high, upper: low, lower: high,
			invoke: s.Invoked, deadline: s.deadline(),
		})
	}
	p.report.Appends = len(items)
	for i := range bounds {
		x, ok := p.readItem(&bounds[i])
		legal = legal && ok
		items = append(items, x)
	}
	return items, legal
}

// deadline is when a placed batch was in the log at the latest. One that was told
// to have failed and is there all the same has none.
func (s *send) deadline() histories.Index {
	if s.Outcome == histories.Fail {
		return histories.Never
	}
	return s.Deadline()
}

// span is the ranks that a read's bounds leave, widened to the edges of batches.
type span struct{ low, high rank }

// widen gives the ranks of bounds of the end; inside says that the lower one is
// strictly inside a batch.
func (p *partition) widen(least, most api.Offset) (s span, inside bool) {
	_, least, inside = p.batchAt(least)
	s = span{rank(2 * least), noUpper}
	if most != noMost {
		most, _, _ = p.batchAt(most)
		s.high = rank(2 * most)
	}
	return s, inside
}

// readItem gives the item of a read.
func (p *partition) readItem(b *bound) (x item, ok bool) {
	s, inside := p.widen(b.least, b.most)
	x = item{
		Operation: b.Operation, class: byFetch, low: s.low, high: s.high, upper: s.high, lower: s.low,
		invoke: b.Invoked, deadline: b.Deadline(),
	}
	if b.Call.Op != histories.Fetch {
		x.class = byList
	}
	switch {
	case b.exact() && inside:
		p.insideBatch(b)
		return x, false
	case x.low > x.high:
		p.addViolation(violation{&x, &x})
		return x, false
	}
	return x, true
}

// insideBatch reports an exact end where no end ever was.
func (p *partition) insideBatch(b *bound) {
	s := p.sends[p.slots[b.least].send]
	p.add(Anomaly{
		Name: Nonlinearizable, Offset: b.least, Value: -1, Witness: witness(b.Operation, s.Operation),
		Message: fmt.Sprintf("%s was told the end %d, which is inside the batch of %s (offsets %d to %d)",
			describe(b.Operation), b.least, describe(s.Operation), s.base, s.end()-1),
	})
}
