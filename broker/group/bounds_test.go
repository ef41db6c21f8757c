package group

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
)

func plainJoin(token string) []byte {
	return EncodeJoin(tag, now, "g", Join{Token: token, Session: 10_000, Rebalance: 60_000, Topics: []string{"t"}})
}

// What a member says that it has given up, before it was told to keep it after all, gives
// nothing up when it comes, though it has to give it up again by then.
func TestOldWordGivesNothingUp(t *testing.T) {
	topics := EncodeTopics(tag, now, "g", Catalogue{Version: 1, Topics: []Topic{{"t", 1, 2}}})
	s := apply(plainJoin("a"), topics, plainJoin("b"), topics)
	old, _ := s.View("g", 1)
	if len(old.Gives) != 1 || len(old.Keeps) != 1 {
		t.Fatalf("member 1 is told %+v", old)
	}
	s.Apply(EncodeLeave(tag, now, "g", 2))
	s.Apply(topics)
	if kept, _ := s.View("g", 1); len(kept.Keeps) != 2 || kept.Epoch <= old.Epoch {
		t.Fatalf("member 1 is told %+v", kept)
	}
	s.Apply(plainJoin("c"))
	s.Apply(topics)
	again, _ := s.View("g", 1)
	if len(again.Gives) != 1 || again.Gives[0] != old.Gives[0] {
		t.Fatalf("member 1 is told %+v", again)
	}
	if out := s.Apply(EncodeSync(tag, now, "g", 1, old.Epoch, old.Gives)); len(out.Member.Gives) != 1 {
		t.Errorf("a word of epoch %d gives up what it was told to keep in epoch %d: %+v", old.Epoch, again.Epoch, out.Member)
	}
	if out := s.Apply(EncodeSync(tag, now, "g", 1, again.Epoch, again.Gives)); len(out.Member.Gives) != 0 {
		t.Errorf("it has given up, and is told %+v", out.Member)
	}
	if next, _ := s.View("g", 3); len(next.Keeps) != 1 {
		t.Errorf("member 3 is told %+v", next)
	}
}

// However many come and go at once, everything is assigned once, when the leader says so;
// till then everybody has what it had, and what is given up goes on.
func TestOneGenerationForAllThatComeTogether(t *testing.T) {
	topics := EncodeTopics(tag, now, "g", Catalogue{Version: 1, Topics: []Topic{{"t", 1, 4}}})
	s := apply(plainJoin("a"), topics)
	generation := s.Groups()[0].Generation
	for _, token := range []string{"b", "c", "d"} {
		if out := s.Apply(plainJoin(token)); !out.Due || !s.Due("g") || !s.Rebalancing("g") {
			t.Errorf("a join is answered %+v, and a generation is due: %t", out, s.Due("g"))
		}
	}
	if out := s.Apply(plainJoin("b")); out.Due {
		t.Errorf("a join that is repeated is answered %+v", out)
	}
	s.Apply(EncodeLeave(tag, now, "g", 4))
	if v, _ := s.View("g", 1); len(v.Keeps) != 4 || v.Generation != generation {
		t.Errorf("before the generation begins member 1 is told %+v", v)
	}
	s.Apply(topics)
	v, _ := s.View("g", 1)
	if len(v.Keeps) != 2 || v.Generation != generation+1 || s.Due("g") {
		t.Errorf("member 1 is told %+v, and another generation is due: %t", v, s.Due("g"))
	}
	s.Apply(plainJoin("e"))
	s.Apply(EncodeSync(tag, now, "g", 1, v.Epoch, v.Gives))
	for id := MemberID(2); id < 4; id++ {
		if v, _ := s.View("g", id); len(v.Keeps) != 1 {
			t.Errorf("member %d is told %+v", id, v)
		}
	}
	if err := New(0).Restore(s.Save()); err != nil {
		t.Error(err)
	}
}

// A member that only commits is silent: a commit that stands in the log before its end does
// not spare it.
func TestCommitsSpareNobody(t *testing.T) {
	s := apply(plainJoin("a"), EncodeTopics(tag, now, "g", Catalogue{Version: 1, Topics: []Topic{{"t", 1, 1}}}))
	known := s.Sessions("g")[0]
	c := Commit{Member: 1, Epoch: known.Epoch, Sequence: 1, Offsets: []Offset{{Partition{1, 0}, 5, ""}}}
	if out := s.Apply(EncodeCommit(tag, now, "g", c)); out.Code != api.Code_OK {
		t.Fatalf("the commit is answered %+v", out)
	}
	s.Apply(EncodeExpire(tag, now, "g", 1, known.Beats))
	if s.Has("g", 1) {
		t.Error("the member is spared")
	}
}

// A coordinator takes so much in all; then it refuses what would make it more, takes what
// does not, and takes more again when there is room.
func TestCoordinatorIsFull(t *testing.T) {
	s := New(1 << 20)
	fill := strings.Repeat("m", MaxMetadata)
	commit := func(group string, from, n int, metadata string) Outcome {
		c := Commit{}
		for i := range n {
			c.Offsets = append(c.Offsets, Offset{Partition{1, api.Partition(from + i)}, 1, metadata})
		}
		return s.Apply(EncodeCommit(tag, now, group, c))
	}
	full := 0
	for ; full < MaxBytes/MaxMetadata; full += 100 {
		if out := commit(fmt.Sprint("g", full), full, 100, fill); out.Code != api.Code_OK {
			if out.Code != api.Code_GROUPS_FULL || !strings.Contains(out.Message, "delete groups") {
				t.Fatalf("answered %+v", out)
			}
			break
		}
	}
	if s.Bytes() > MaxBytes || s.Bytes() < MaxBytes*9/10 {
		t.Errorf("full at %d bytes of %d", s.Bytes(), MaxBytes)
	}
	for size, next := MaxMetadata, 0; size > 0; size /= 2 {
		for commit("rest", next, 1, fill[:size]).Code == api.Code_OK {
			next++
		}
	}
	for what, out := range map[string]Outcome{
		"a commit": commit("g0", 1000, 1, fill), "a member": s.Apply(plainJoin(fill[:MaxToken])),
	} {
		if out.Code != api.Code_GROUPS_FULL {
			t.Errorf("%s beyond it is answered %+v", what, out)
		}
	}
	if out := commit("g0", 0, 100, fill); out.Code != api.Code_OK {
		t.Errorf("a commit of what is there is answered %+v", out)
	}
	s.Apply(EncodeDelete(tag, now, "g100"))
	if out := s.Apply(plainJoin("a")); out.Code != api.Code_OK {
		t.Errorf("a member, with room again, is answered %+v", out)
	}
	if out := s.Apply(EncodeTopics(tag, now, "g", Catalogue{Version: 1, Topics: []Topic{{"t", 1, 100_000}}})); out.Code != api.Code_GROUPS_FULL {
		t.Errorf("100,000 partitions are answered %+v", out)
	}
	restored := New(0)
	if err := restored.Restore(s.Save()); err != nil || restored.Bytes() != s.Bytes() {
		t.Errorf("restored %d bytes of %d: %v", restored.Bytes(), s.Bytes(), err)
	}
}

// What is gone goes, though there is no room for what has come: it may be what takes the room.
func TestWhatIsGoneGoesFromAFullCoordinator(t *testing.T) {
	s := apply(plainJoin("a"), EncodeTopics(tag, now, "g", Catalogue{Version: 1, Topics: []Topic{{"t", 1, 2}}}))
	for n := range MaxBytes/MaxMetadata/100 - 1 {
		c := Commit{}
		for i := range 100 {
			c.Offsets = append(c.Offsets, Offset{Partition{9, api.Partition(i)}, 1, strings.Repeat("m", MaxMetadata)})
		}
		s.Apply(EncodeCommit(tag, now, fmt.Sprint("other", n), c))
	}
	view, _ := s.View("g", 1)
	c := Commit{Member: 1, Epoch: view.Epoch, Offsets: []Offset{{Partition{1, 0}, 1, "m"}}}
	if out := s.Apply(EncodeCommit(tag, now, "g", c)); out.Code != api.Code_OK {
		t.Fatalf("answered %+v", out)
	}
	before := s.Bytes()
	refused := Catalogue{Version: 2, Topics: []Topic{{"t", 2, MaxPartitions}}, Gone: []api.TopicID{1}}
	if out := s.Apply(EncodeTopics(tag, now, "g", refused)); out.Code != api.Code_GROUPS_FULL {
		t.Fatalf("%d partitions are answered %+v", MaxPartitions, out)
	}
	view, _ = s.View("g", 1)
	if len(view.Keeps)+len(view.Gives)+len(s.Offsets("g")) > 0 || s.Bytes() >= before || len(s.Known("g").Topics) > 0 {
		t.Errorf("of a topic that is gone %+v and %v are there, with %d bytes of %d", view, s.Offsets("g"), s.Bytes(), before)
	}
	if out := s.Apply(EncodeTopics(tag, now, "g", Catalogue{Version: 2, Topics: []Topic{{"t", 2, 3}}})); out.Code != api.Code_OK {
		t.Errorf("3 partitions are answered %+v", out)
	}
	if view, _ = s.View("g", 1); len(view.Keeps) != 3 {
		t.Errorf("the member is told %+v", view)
	}
	if err := New(0).Restore(s.Save()); err != nil {
		t.Error(err)
	}
}

// What a member wanted before does not count with what it wants instead.
func TestMemberWantsOtherTopics(t *testing.T) {
	join := func(id MemberID, from, to int) []byte {
		j := Join{Member: id, Session: 10_000, Rebalance: 60_000}
		for n := from; n < to; n++ {
			j.Topics = append(j.Topics, fmt.Sprint("topic", n))
		}
		return EncodeJoin(tag, now, "g", j)
	}
	s := apply(join(0, 0, MaxTopics))
	if out := s.Apply(join(1, MaxTopics/2, MaxTopics*3/2)); out.Code != api.Code_OK {
		t.Errorf("other topics are answered %+v", out)
	}
	if out := s.Apply(join(0, MaxTopics/2, MaxTopics)); out.Code != api.Code_OK {
		t.Errorf("another member, of the same topics, is answered %+v", out)
	}
	for _, more := range [][]byte{join(0, 0, 1), join(1, MaxTopics, MaxTopics*3/2+1)} {
		if out := s.Apply(more); out.Code != api.Code_INVALID_REQUEST || !strings.Contains(out.Message, "use more groups") {
			t.Errorf("a topic too many is answered %+v", out)
		}
	}
}

// Who takes the place of a member of its instance counts its commits from 1 again: they are
// no copies of the former one's.
func TestHeirCountsItsCommitsAnew(t *testing.T) {
	join := func(token string) []byte {
		return EncodeJoin(tag, now, "g", Join{Token: token, Instance: "i", Session: 10_000, Rebalance: 60_000, Topics: []string{"t"}})
	}
	s := apply(join("a"), EncodeTopics(tag, now, "g", Catalogue{Version: 1, Topics: []Topic{{"t", 1, 1}}}))
	commit := func(member MemberID, sequence uint64, offset api.Offset) {
		t.Helper()
		view, _ := s.View("g", member)
		c := Commit{Member: member, Epoch: view.Epoch, Sequence: sequence, Offsets: []Offset{{Partition{1, 0}, offset, ""}}}
		if out := s.Apply(EncodeCommit(tag, now, "g", c)); out.Code != api.Code_OK {
			t.Errorf("commit %d of member %d is answered %v: %s", sequence, member, out.Code, out.Message)
		}
		if got := s.groups["g"].offsets[Partition{1, 0}].Offset; got != offset {
			t.Errorf("after commit %d of member %d offset %d is committed, want %d", sequence, member, got, offset)
		}
	}
	commit(1, 1, 3)
	commit(1, 2, 5)
	heir := s.Apply(join("b")).Member.ID
	commit(heir, 1, 7)
	commit(heir, 2, 9)
}
