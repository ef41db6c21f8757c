package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Bounds of porcupine's search. It is counted in steps, not in time, so that the
// answer does not depend on the machine.
const (
	// mostRaw is the most operations that are searched with their own intervals:
	// the search is exponential in concurrency.
	mostRaw = 120
	// mostRawWild is the most of them that may stand anywhere.
	mostRawWild = 6
	// stepsPerOperation and stepsAtLeast bound the steps of a search.
	stepsPerOperation = 20
	stepsAtLeast      = 500_000
	// pieceSize is about how many operations are searched at once, and mostPiece the most:
	// at each step porcupine keeps a set of them, so that its memory grows with their
	// square, to 200 MB here. So many are only where tighten finds one call for as many.
	pieceSize = 100
	mostPiece = 40_000
)

// move is an operation as porcupine's model sees it. The state of the model is
// the end of the log; contents have been judged before.
type move struct {
	*histories.Operation
	// size is the number of records that are appended; 0 is a read.
	size api.Offset
	// base is where they are appended; histories.NoOffset: anywhere that nobody saw.
	base api.Offset
	// least and most bound the end that a read can have seen.
	least, most api.Offset
}

// model gives the sequential log: free says which offsets nobody saw.
func model(begin api.Offset, free func(api.Offset) bool, budget *int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		StepContext: func(_ context.Context, state, input, _ any) (bool, any) {
			if *budget--; *budget < 0 {
				return false, state
			}
			end, ok := input.(*move).apply(state.(api.Offset), free)
			return ok, end
		},
		Equal: func(a, b any) bool { return a.(api.Offset) == b.(api.Offset) },
		Hash:  func(state any) uint64 { return uint64(state.(api.Offset)) * 0x9e3779b97f4a7c15 },
		DescribeOperation: func(input, _ any) string {
			return picture(input.(*move).Operation)
		},
		DescribeState: func(state any) string { return fmt.Sprintf("end %d", state.(api.Offset)) },
	}
}

// apply says whether the move can be made at an end of the log, and what the end
// is then.
func (m *move) apply(end api.Offset, free func(api.Offset) bool) (api.Offset, bool) {
	switch {
	case m.size == 0:
		return end, m.least <= end && end <= m.most
	case m.base != histories.NoOffset:
		return end + m.size, m.base == end
	}
	for o := end; o < end+m.size; o++ {
		if !free(o) {
			return end, false
		}
	}
	return end + m.size, true
}

// moves gives what porcupine orders: every placed produce, those that may stand
// anywhere if wild is set, and every read.
func (p *partition) moves(bounds []bound, wild bool) []porcupine.Operation {
	list := make([]porcupine.Operation, 0, len(p.sends)+len(bounds))
	for i := range p.sends {
		s := &p.sends[i]
		if s.base != histories.NoOffset || wild && p.isWild(s) {
			m := &move{Operation: s.Operation, size: api.Offset(s.size()), base: s.base}
			list = append(list, operation(m, s.deadline()))
		}
	}
	for i := range bounds {
		b := &bounds[i]
		m := &move{Operation: b.Operation, base: histories.NoOffset, least: b.least, most: b.most}
		list = append(list, operation(m, b.Deadline()))
	}
	return list
}

func operation(m *move, deadline histories.Index) porcupine.Operation {
	return porcupine.Operation{ClientId: int(m.Process), Input: m, Call: int64(m.Invoked), Return: int64(deadline)}
}

// rawSearch asks porcupine about a small partition as it is: before the holes are
// filled and bounds are widened, so that it judges these rules too. It gives
// NotJudged where the partition is too large.
func (p *partition) rawSearch(bounds []bound) Judgement {
	wild := 0
	for i := range p.sends {
		if p.isWild(&p.sends[i]) {
			wild++
		}
	}
	if len(p.sends)+len(bounds) > mostRaw || wild > mostRawWild {
		return NotJudged
	}
	return p.search(p.moves(bounds, true), func(o api.Offset) bool {
		return o >= api.Offset(len(p.slots)) || !p.slots[o].seen
	})
}

// search runs porcupine on a log that begins empty.
func (p *partition) search(list []porcupine.Operation, free func(api.Offset) bool) Judgement {
	return p.searchFrom(0, list, free)
}

// searchFrom runs porcupine within a budget of steps.
func (p *partition) searchFrom(begin api.Offset, list []porcupine.Operation, free func(api.Offset) bool) Judgement {
	left := stepsAtLeast + stepsPerOperation*len(list)
	return p.searchWithin(&left, begin, list, free)
}

// searchWithin runs porcupine within what is left of a budget of steps.
func (p *partition) searchWithin(left *int, begin api.Offset, list []porcupine.Operation, free func(api.Offset) bool) Judgement {
	budget := *left
	legal := porcupine.CheckOperations(model(begin, free, left), list)
	p.report.Steps += budget - max(*left, 0)
	switch {
	case legal:
		return Linearizable
	case *left < 0:
		return OutOfBudget
	}
	return Illegal
}

// searchPieces runs porcupine on a tightened log that begins empty, piece by piece: what is
// called up to a moment, and what is called after it.
//
// Nothing of the second returns before something of the first is called, so any order of
// the one followed by any order of the other keeps to the time. And no order is lost.
// Appends are called in the order of their ranks, so those of the first come before those
// of the second, up to an end r of the log. What has lower ranks only is called no later
// than they, what has higher ranks only no earlier than the next: so each is in its piece.
// Whatever else there is are reads that may see r; in an order of the whole log, those of
// the first piece that stand behind r can move there, and so can those of the second that
// stand before it, for none of either had to be on that side.
func (p *partition) searchPieces(list []porcupine.Operation) Judgement {
	slices.SortStableFunc(list, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	left := stepsAtLeast + stepsPerOperation*len(list)
	begin, all := api.Offset(0), Linearizable
	for len(list) > 0 {
		piece := list[:cut(list)]
		found := OutOfBudget
		if len(piece) <= mostPiece {
			found = p.searchWithin(&left, begin, piece, noneFree)
		}
		switch {
		case found == Illegal || left < 0:
			return found
		case found == OutOfBudget:
			all = found
		}
		for i := range piece {
			begin += piece[i].Input.(*move).size
		}
		list = list[len(piece):]
	}
	return all
}

// cut is how many of the operations, which are in the order of their calls, are a piece.
func cut(list []porcupine.Operation) int {
	n := min(pieceSize, len(list))
	for n < len(list) && list[n].Call == list[n-1].Call {
		n++
	}
	return n
}

// secondOpinion is porcupine's judgement: of the raw search if that came to an
// end, otherwise with the holes filled and the intervals tightened by rank.
func (p *partition) secondOpinion(raw Judgement, bounds []bound) Judgement {
	if raw == Linearizable || raw == Illegal {
		p.report.Raw = true
		return raw
	}
	list := p.moves(bounds, false)
	if !p.tighten(list) {
		return Illegal
	}
	return p.searchPieces(list)
}

// tighten narrows every operation to the time when it can have taken effect:
// after the latest invocation of itself and of what has a strictly smaller rank,
// before the earliest return of itself and of what has a strictly larger one.
// An interval that is left empty, of ranks or of time, is illegal.
func (p *partition) tighten(list []porcupine.Operation) bool {
	type entry struct {
		low, high    rank
		call, finish int64
	}
	entries := make([]entry, len(list))
	for i := range list {
		m := list[i].Input.(*move)
		e := entry{call: list[i].Call, finish: list[i].Return}
		if m.size > 0 {
			e.low, e.high = rank(2*m.base+1), rank(2*(m.base+m.size)-1)
		} else {
			x, _ := p.widen(m.least, m.most)
			if e.low, e.high = x.low, x.high; e.low > e.high {
				return false
			}
		}
		entries[i] = e
	}
	byLow, byHigh := slices.Clone(entries), slices.Clone(entries)
	slices.SortFunc(byLow, func(a, b entry) int { return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.finish, b.finish)) })
	slices.SortFunc(byHigh, func(a, b entry) int { return cmp.Or(cmp.Compare(a.high, b.high), cmp.Compare(a.call, b.call)) })
	for i := 1; i < len(byHigh); i++ {
		byHigh[i].call = max(byHigh[i].call, byHigh[i-1].call)
	}
	for i := len(byLow) - 2; i >= 0; i-- {
		byLow[i].finish = min(byLow[i].finish, byLow[i+1].finish)
	}
	for i, e := range entries {
		below, _ := slices.BinarySearchFunc(byHigh, e.low, func(b entry, r rank) int { return cmp.Compare(b.high, r) })
		if below > 0 {
			list[i].Call = max(list[i].Call, byHigh[below-1].call)
		}
		above, _ := slices.BinarySearchFunc(byLow, e.high, func(b entry, r rank) int {
			if b.low <= r {
				return -1
			}
			return 1
		})
		if above < len(byLow) {
			list[i].Return = min(list[i].Return, byLow[above].finish)
		}
		if list[i].Call > list[i].Return {
			return false
		}
	}
	return true
}
