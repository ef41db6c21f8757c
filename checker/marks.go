package checker

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// mark is an offset that something had come to by an event.
type mark struct {
	at     histories.Index
	offset api.Offset
	// by is the operation that showed it; nil if a note did.
	by *histories.Operation
}

// marks are in the order of their events, each higher than all before it.
type marks []mark

// rising gives the marks of a list that are higher than all that were made before them.
func rising(list []mark) marks {
	slices.SortStableFunc(list, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	highest := histories.NoOffset
	return slices.DeleteFunc(list, func(m mark) bool {
		if m.offset <= highest {
			return true
		}
		highest = m.offset
		return false
	})
}

// before is the highest mark that was made before an event; of NoOffset if there is none.
func (m marks) before(event histories.Index) mark {
	n, _ := slices.BinarySearchFunc(m, event, func(m mark, i histories.Index) int { return cmp.Compare(m.at, i) })
	if n == 0 {
		return mark{offset: histories.NoOffset}
	}
	return m[n-1]
}
