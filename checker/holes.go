package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// mostTilings bounds the search for batches that fill the holes, in steps.
const mostTilings = 100_000

// fillHoles gives every offset below the end that nobody saw to a produce of
// unknown outcome that nobody saw. Where all of those have one record, they take
// the holes in ascending order of invocation: exchanging two would only ask the
// later-invoked one to have been in time for the lower offset. Where they are
// batches of several sizes, a search tiles the holes with them. Those left over
// are dropped.
func (p *partition) fillHoles(bounds []bound) Judgement {
	holes := p.holes()
	if len(holes) == 0 {
		return Linearizable
	}
	var unseen []int
	single := true
	for i := range p.sends {
		if p.isWild(&p.sends[i]) {
			unseen = append(unseen, i)
			single = single && p.sends[i].size() == 1
		}
	}
	if !single {
		return p.tile(holes, unseen, bounds)
	}
	for i, offset := range holes {
		if i == len(unseen) {
			p.noFiller(offset, bounds)
			return Illegal
		}
		p.fill(unseen[i], offset)
	}
	return Linearizable
}

// isWild: the produce may be in the log at any offset that nobody saw.
func (p *partition) isWild(s *send) bool {
	return p.log == nil && s.base == histories.NoOffset && s.Outcome == histories.Info
}

// holes gives the offsets below the end that nobody saw, but no more than could
// be filled, and one.
func (p *partition) holes() []api.Offset {
	var holes []api.Offset
	for o := api.Offset(0); o < min(p.report.End, api.Offset(len(p.slots))+1); o++ {
		if o >= api.Offset(len(p.slots)) || !p.slots[o].seen {
			holes = append(holes, o)
		}
	}
	return holes
}

// fill puts an unseen produce at an offset.
func (p *partition) fill(number int, base api.Offset) {
	s := &p.sends[number]
	s.base = base
	for o := base; o < s.end(); o++ {
		p.slots[o].send = int32(number)
	}
	p.report.Filled += s.size()
}

// noFiller reports a hole that nothing can have filled, with the operation that
// showed first that it is filled.
func (p *partition) noFiller(hole api.Offset, bounds []bound) {
	var by *histories.Operation
	claim := func(o *histories.Operation, end api.Offset) {
		if end > hole && (by == nil || o.Deadline() < by.Deadline()) {
			by = o
		}
	}
	for i := range bounds {
		claim(bounds[i].Operation, bounds[i].least)
	}
	for i := range p.sends {
		if s := &p.sends[i]; s.base != histories.NoOffset {
			claim(s.Operation, s.end())
		}
	}
	p.add(Anomaly{
		Name: Nonlinearizable, Offset: hole, Value: -1, Witness: witness(by),
		Message: fmt.Sprintf("%s had shown that the log goes beyond offset %d, and no produce can have put a record there in time", describe(by), hole),
	})
}

// tiler searches for a way to fill the holes with batches of several sizes. Of
// batches of one size, the one invoked first is taken first.
type tiler struct {
	p   *partition
	end api.Offset
	// queues[c] is the unseen produces of one size by invocation; used[c] of them
	// are placed.
	queues [][]int
	used   []int
	// above[o] is the earliest deadline of what showed an end above o; below[o] the
	// latest invocation of what showed an end of at most o; most[o] the least upper
	// bound of what showed o as its lower one.
	above []histories.Index
	below []histories.Index
	most  []api.Offset
	// dead holds the counts from which no way leads on.
	dead  map[string]struct{}
	steps int
	// farthest is the highest offset that could not be filled.
	farthest api.Offset
}

// tile fills the holes with batches.
func (p *partition) tile(holes []api.Offset, unseen []int, bounds []bound) Judgement {
	if p.report.End > api.Offset(len(p.slots)) {
		p.noFiller(holes[len(holes)-1], bounds)
		return Illegal
	}
	t := &tiler{p: p, end: p.report.End, dead: make(map[string]struct{})}
	t.queue(unseen)
	t.learn(bounds)
	switch {
	case t.from(0):
		return Linearizable
	case t.steps > mostTilings:
		return OutOfBudget
	}
	p.noFiller(t.farthest, bounds)
	return Illegal
}

// queue sorts the unseen produces by size.
func (t *tiler) queue(unseen []int) {
	unseen = slices.Clone(unseen)
	sends := t.p.sends
	slices.SortFunc(unseen, func(a, b int) int {
		return cmp.Or(cmp.Compare(sends[a].size(), sends[b].size()), cmp.Compare(sends[a].Invoked, sends[b].Invoked))
	})
	for len(unseen) > 0 {
		n := 1
		for n < len(unseen) && sends[unseen[n]].size() == sends[unseen[0]].size() {
			n++
		}
		t.queues = append(t.queues, unseen[:n])
		unseen = unseen[n:]
	}
	t.used = make([]int, len(t.queues))
}

// learn gathers what was shown of the end.
func (t *tiler) learn(bounds []bound) {
	n := len(t.p.slots) + 1
	t.above, t.below, t.most = make([]histories.Index, n), make([]histories.Index, n), make([]api.Offset, n)
	for i := range n {
		t.above[i], t.below[i], t.most[i] = histories.Never, -1, noMost
	}
	for i := range bounds {
		b := &bounds[i]
		t.shown(b.least, b.Deadline())
		if b.most >= 0 && b.most < api.Offset(n) {
			t.below[b.most] = max(t.below[b.most], b.Invoked)
		}
		t.most[max(b.least, 0)] = min(t.most[max(b.least, 0)], b.most)
	}
	for i := range t.p.sends {
		if s := &t.p.sends[i]; s.base != histories.NoOffset {
			t.shown(s.end(), s.deadline())
		}
	}
	for i := n - 2; i >= 0; i-- {
		t.above[i] = min(t.above[i], t.above[i+1])
	}
}

func (t *tiler) shown(end api.Offset, deadline histories.Index) {
	if end > 0 {
		t.above[end-1] = min(t.above[end-1], deadline)
	}
}

// from fills the holes from an offset on, or says that it cannot be done.
func (t *tiler) from(offset api.Offset) bool {
	for offset < t.end && t.p.slots[offset].send != noSend {
		offset++
	}
	if offset >= t.end {
		return true
	}
	t.farthest = max(t.farthest, offset)
	key := fmt.Sprint(t.used)
	if _, ok := t.dead[key]; ok {
		return false
	}
	for _, c := range t.choices() {
		if t.steps++; t.steps > mostTilings {
			return false
		}
		number := t.queues[c][t.used[c]]
		if !t.fits(offset, number) {
			continue
		}
		t.used[c]++
		t.p.fill(number, offset)
		if t.from(offset + api.Offset(t.p.sends[number].size())) {
			return true
		}
		t.unfill(number)
		t.used[c]--
	}
	t.dead[key] = struct{}{}
	return false
}

// choices gives the sizes that are left, the one with the earliest invocation
// first: that is most often what happened.
func (t *tiler) choices() []int {
	var list []int
	for c := range t.queues {
		if t.used[c] < len(t.queues[c]) {
			list = append(list, c)
		}
	}
	head := func(c int) histories.Index { return t.p.sends[t.queues[c][t.used[c]]].Invoked }
	slices.SortFunc(list, func(a, b int) int { return cmp.Compare(head(a), head(b)) })
	return list
}

// fits says whether a batch can stand at an offset: the place is free, it was
// invoked in time, and nobody was shown an end inside it.
func (t *tiler) fits(base api.Offset, number int) bool {
	s := &t.p.sends[number]
	end := base + api.Offset(s.size())
	if end > api.Offset(len(t.p.slots)) || t.above[base] < s.Invoked {
		return false
	}
	for o := base; o < end; o++ {
		if t.p.slots[o].send != noSend || t.above[base] < t.below[o] || o > base && t.most[o] < end {
			return false
		}
	}
	return true
}

func (t *tiler) unfill(number int) {
	s := &t.p.sends[number]
	for o := s.base; o < s.end(); o++ {
		t.p.slots[o].send = noSend
	}
	t.p.report.Filled -= s.size()
	s.base = histories.NoOffset
}
