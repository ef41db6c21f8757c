package main_test

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/histories"
)

// stint is a time in which a life of a member read a partition.
type stint struct {
	life *life
	// ended is Revoked or Lost, or Assigned if neither was.
	ended histories.Op
	// committed is the highest offset whose commit was acknowledged; failed: the last
	// commit was not.
	committed int64
	failed    bool
}

func (s *stint) String() string {
	return fmt.Sprintf("the stint of %s ended: %v, committed up to %d (failed: %t)", filepath.Base(s.life.plan.Events), s.ended, s.committed, s.failed)
}

// excuse says why a record that was handed out in this stint may be handed out again;
// "" if it must not.
func (s *stint) excuse(offset int64) string {
	switch {
	case s.ended == histories.Lost:
		return "lost"
	case s.ended == histories.Assigned && s.life.crashed:
		return "crashed"
	case s.ended == histories.Revoked && s.failed && s.committed <= offset:
		return "not committed"
	}
	return ""
}

// handing is that a record was handed to a member.
type handing struct {
	at    histories.Time
	stint *stint
}

// handings are all, by record.
type handings struct {
	of map[recordAt][]handing
	// twice counts the records that were handed out again, by excuse.
	twice map[string]int
}

func newHandings() *handings {
	return &handings{of: map[recordAt][]handing{}, twice: map[string]int{}}
}

// add takes what a life recorded.
func (h *handings) add(l *life, history *histories.History) {
	now, calls := map[int]*stint{}, map[histories.Process]*histories.Call{}
	commits := map[histories.Process][]*stint{}
	for i := range history.Events {
		e := &history.Events[i]
		switch {
		case e.Op == histories.Assigned:
			now[int(e.Note.Partition)] = &stint{life: l, ended: histories.Assigned}
		case e.Op == histories.Revoked || e.Op == histories.Lost:
			now[int(e.Note.Partition)].ended = e.Op
		case e.Kind == histories.Invoke:
			calls[e.Process] = e.Call
			commits[e.Process] = nil
			for _, o := range e.Call.Offsets {
				commits[e.Process] = append(commits[e.Process], now[int(o.Partition)])
			}
		case e.Op == histories.Fetch:
			for _, r := range e.Answer.Records {
				at := recordAt{int(calls[e.Process].Partition), int64(r.Offset)}
				h.of[at] = append(h.of[at], handing{e.Time, now[at.partition]})
			}
		case e.Op == histories.Commit:
			for i, s := range commits[e.Process] {
				if s.failed = e.Kind != histories.Ok; !s.failed {
					s.committed = max(s.committed, int64(calls[e.Process].Offsets[i].Offset))
				}
			}
		}
	}
}

// judge sees that what was handed out twice was so for a reason.
func (h *handings) judge(t *testing.T) {
	t.Helper()
	const shown = 5
	bad := 0
	inOrder := func(a, b recordAt) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	}
	for _, at := range slices.SortedFunc(maps.Keys(h.of), inOrder) {
		list := h.of[at]
		slices.SortFunc(list, func(a, b handing) int { return cmp.Compare(a.at, b.at) })
		for i := range len(list) - 1 {
			why := list[i].stint.excuse(at.offset)
			h.twice[why]++
			if why != "" {
				continue
			}
			if bad++; bad <= shown {
				t.Errorf("record %d/%d was handed out again, though %v", at.partition, at.offset, list[i].stint)
			}
		}
	}
}

func (h *handings) String() string {
	return fmt.Sprintf("handed out again: %d after a crash, %d after a loss that was told, %d whose commit failed, %d for no reason",
		h.twice["crashed"], h.twice["lost"], h.twice["not committed"], h.twice[""])
}
