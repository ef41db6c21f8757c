package group

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/idle"
	"pgregory.net/rapid"
)

// machine is one coordinator with one group that lives, and one that starts again and
// again, beside a history of who owned what, as a client would know it.
type machine struct {
	live, saved *State
	number      uint64
	wall        api.Milliseconds
	catalogue   Catalogue
	lastTopic   api.TopicID
	// since is the epoch from which on a member has owned a partition without a break, by
	// what the answers said.
	since map[Partition]owner
	// epochs are the highest that were seen of each member.
	epochs map[MemberID]Epoch
	// committed is what was accepted last, and sequences the last of each member's.
	committed map[Partition]api.Offset
	sequences map[MemberID]uint64
	tokens    map[string]MemberID
}

const name = "g"

// checkRebalancing compares, member by member, what it has with what it is to have.
func (m *machine) checkRebalancing(t *rapid.T, g *group) {
	moving := g.due
	for p, to := range g.targets {
		moving = moving || g.owners[p].member != to.id
	}
	for p, o := range g.owners {
		moving = moving || g.targets[p] == nil || g.targets[p].id != o.member
	}
	if m.live.Rebalancing(name) != moving {
		t.Fatalf("rebalancing is %t, want %t", !moving, moving)
	}
}

func (m *machine) tag() command.Tag {
	m.number++
	return command.Tag{Origin: 9, Number: m.number}
}

func (m *machine) apply(t *rapid.T, data []byte) Outcome {
	before := m.live.End()
	out := m.live.Apply(data)
	if other := m.saved.Apply(data); !reflect.DeepEqual(other, out) {
		t.Fatalf("a replica that started again answers %+v, not %+v", other, out)
	}
	if m.live.End() != before+api.Offset(out.Count) || (out.Count == 1) != (len(data) > 0) || (out.Code == api.Code_OK) != (out.Message == "") {
		t.Fatalf("%d commands, then %d: %+v", before, m.live.End(), out)
	}
	m.note(t)
	return out
}

// note keeps the history, and holds the group to what must always be.
func (m *machine) note(t *rapid.T) {
	g := m.live.groups[name]
	if g == nil {
		clear(m.since)
		return
	}
	for p, o := range m.since {
		if g.owners[p].member != o.member {
			delete(m.since, p)
		}
	}
	m.checkRebalancing(t, g)
	for p, o := range g.owners {
		owner := g.members[o.member]
		if owner == nil {
			t.Fatalf("%v has the owner %d, who is no member", p, o.member)
		}
		if old, known := m.since[p]; known && (old.member != o.member || old.since != o.since) {
			t.Fatalf("member %d owns %v since %d, and then since %d", o.member, p, old.since, o.since)
		}
		m.since[p] = o
	}
	for id, member := range g.members {
		if member.epoch < m.epochs[id] {
			t.Fatalf("the epoch of member %d falls from %d to %d", id, m.epochs[id], member.epoch)
		}
		m.epochs[id] = member.epoch
	}
}

func (m *machine) member(t *rapid.T) MemberID {
	sessions := m.live.Sessions(name)
	if len(sessions) == 0 || rapid.IntRange(0, 9).Draw(t, "stranger") == 0 {
		return 99_999
	}
	return sessions[rapid.IntRange(0, len(sessions)-1).Draw(t, "member")].Member
}

func (m *machine) Join(t *rapid.T) {
	j := Join{
		Token: rapid.StringMatching("[a-d]").Draw(t, "token"), Session: 10_000, Rebalance: 10_000,
		Instance: rapid.SampledFrom([]string{"", "", "", "s1", "s2"}).Draw(t, "instance"),
		Assignor: rapid.SampledFrom([]Assignor{Sticky, Sticky, Sticky, Range, RoundRobin, 3}).Draw(t, "assignor"),
		Topics:   rapid.SliceOfN(rapid.SampledFrom([]string{"t1", "t2", "t3"}), 0, 4).Draw(t, "topics"),
	}
	there := m.live.groups[name] != nil && m.live.groups[name].members[m.tokens[j.Token]] != nil
	if former := rapid.SampledFrom([]MemberID{0, 0, m.member(t)}).Draw(t, "former"); !there && j.Instance != "" {
		j.Former = former
	}
	fenced := j.Former != 0 && m.heldByOther(j.Instance, j.Former)
	out := m.apply(t, EncodeJoin(m.tag(), m.wall, name, j))
	if (out.Code == api.Code_FENCED_INSTANCE) != (fenced && j.Assignor < assignors) || (out.Code == api.Code_OK) != (j.Assignor < assignors && !fenced) {
		t.Fatalf("%+v is answered %+v", j, out)
	}
	if out.Code != api.Code_OK {
		return
	}
	if there && out.Member.ID != m.tokens[j.Token] {
		t.Fatalf("token %s made member %d and then %d", j.Token, m.tokens[j.Token], out.Member.ID)
	}
	m.tokens[j.Token] = out.Member.ID
}

// heldByOther reports whether an instance's place is another's than a member's.
func (m *machine) heldByOther(instance string, id MemberID) bool {
	if g := m.live.groups[name]; g != nil {
		for _, other := range g.members {
			if other.instance == instance {
				return other.id != id
			}
		}
	}
	return false
}

func (m *machine) Sync(t *rapid.T) {
	id := m.member(t)
	view, ok := m.live.View(name, id)
	epoch := view.Epoch - min(view.Epoch, Epoch(rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "behind")))
	given := view.Gives
	if rapid.Bool().Draw(t, "wrong") {
		given = append(slices.Clone(view.Keeps), given...)
	}
	stale := make(map[Partition]bool)
	if ok {
		for _, p := range given {
			stale[p] = m.live.groups[name].owners[p].kept > epoch
		}
	}
	out := m.apply(t, EncodeSync(m.tag(), m.wall, name, id, epoch, given))
	if (out.Code == api.Code_OK) != ok {
		t.Fatalf("a sync of member %d is answered %+v", id, out)
	}
	for _, p := range view.Gives {
		if stale[p] && m.live.groups[name].owners[p].member != id {
			t.Fatalf("member %d gave up %v by what it said before it was told to keep it", id, p)
		}
	}
	for _, p := range view.Keeps {
		if m.live.groups[name].owners[p].member != id {
			t.Fatalf("member %d gave up %v, which it was to keep", id, p)
		}
	}
}

func (m *machine) Leave(t *rapid.T) {
	m.apply(t, EncodeLeave(m.tag(), m.wall, name, m.member(t)))
}

func (m *machine) Expire(t *rapid.T) {
	if sessions := m.live.Sessions(name); len(sessions) > 0 {
		s := sessions[0]
		late := rapid.Uint64Range(0, 1).Draw(t, "late")
		m.apply(t, EncodeExpire(m.tag(), m.wall, name, s.Member, s.Beats-late))
		if _, there := m.live.View(name, s.Member); there != (late > 0) {
			t.Fatalf("member %d with %d beats more than the leader knew is there: %t", s.Member, late, there)
		}
	}
}

// Topics tells the group what there is: topics come, go and grow. Now and then a leader
// says it that knows less.
func (m *machine) Topics(t *rapid.T) {
	old := m.catalogue
	m.catalogue = Catalogue{Version: old.Version + 1}
	kept := make(map[string]bool)
	for _, topic := range old.Topics {
		switch rapid.SampledFrom([]string{"stays", "stays", "grows", "goes"}).Draw(t, "fate") {
		case "goes":
			m.catalogue.Gone = append(m.catalogue.Gone, topic.ID)
			for p := range m.committed {
				if p.Topic == topic.ID {
					delete(m.committed, p)
				}
			}
			continue
		case "grows":
			topic.Partitions++
		}
		kept[topic.Name] = true
		m.catalogue.Topics = append(m.catalogue.Topics, topic)
	}
	if made := rapid.SampledFrom([]string{"t1", "t2", "t3"}).Draw(t, "made"); !kept[made] {
		m.lastTopic++
		m.catalogue.Topics = append(m.catalogue.Topics, Topic{made, m.lastTopic, rapid.Int32Range(1, 6).Draw(t, "partitions")})
	}
	m.apply(t, EncodeTopics(m.tag(), m.wall, name, m.catalogue))
	was := m.live.Save()
	m.apply(t, EncodeTopics(m.tag(), m.wall, name, old))
	if g := m.live.groups[name]; g != nil && !reflect.DeepEqual(g.topics, m.catalogue.Topics) {
		t.Fatalf("a leader that is behind has changed %x", was)
	}
}

// Again tells the group what it knows, which begins a generation that is due.
func (m *machine) Again(t *rapid.T) {
	before := m.live.groups[name]
	if before == nil {
		return
	}
	want := before.generation
	if before.due || !slices.Equal(before.topics, m.catalogue.Topics) {
		want++
	}
	m.apply(t, EncodeTopics(m.tag(), m.wall, name, Catalogue{Version: m.catalogue.Version, Topics: m.catalogue.Topics}))
	if g := m.live.groups[name]; g.due || g.generation != want {
		t.Fatalf("generation %d, and another due: %t; want %d", g.generation, g.due, want)
	}
}

func (m *machine) Commit(t *rapid.T) {
	c := Commit{Member: m.member(t)}
	view, there := m.live.View(name, c.Member)
	c.Epoch = Epoch(rapid.Uint64Range(0, uint64(view.Epoch)+1).Draw(t, "epoch"))
	pool := append(append([]Partition{{1, 0}, {2, 1}}, view.Keeps...), view.Gives...)
	want := api.Code_OK
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 1, 2, rapid.ID).Draw(t, "partitions") {
		c.Offsets = append(c.Offsets, Offset{p, api.Offset(rapid.Int64Range(0, 99).Draw(t, "offset")), "m"})
		if o := m.since[p]; o.member != c.Member || o.since > c.Epoch || c.Epoch > view.Epoch {
			want = api.Code_MEMBER_FENCED
		}
	}
	last := m.sequences[c.Member]
	c.Sequence = rapid.SampledFrom([]uint64{0, last, last + 1, last + 2, last - min(last, 1)}).Draw(t, "sequence")
	repeated := c.Sequence != 0 && c.Sequence <= last
	switch {
	case !there:
		want = api.Code_UNKNOWN_MEMBER
	case repeated && c.Sequence < last:
		want = api.Code_STALE_COMMIT
	case repeated:
		want = api.Code_OK
	}
	out := m.apply(t, EncodeCommit(m.tag(), m.wall, name, c))
	if out.Code != want {
		t.Fatalf("%+v is answered %v, want %v; owned since %v, the last commit is %d", c, out.Code, want, m.since, last)
	}
	if repeated {
		return
	}
	m.took(out, c.Offsets)
	if out.Code == api.Code_OK && c.Sequence != 0 {
		m.sequences[c.Member] = c.Sequence
	}
}

// CommitAsNobody, Reset and Delete are for groups without members.
func (m *machine) CommitAsNobody(t *rapid.T) {
	offsets := []Offset{{Partition{1, 1}, 7, ""}}
	busy := len(m.live.Sessions(name)) > 0
	out := m.apply(t, EncodeCommit(m.tag(), m.wall, name, Commit{Offsets: offsets}))
	if (out.Code == api.Code_GROUP_NOT_EMPTY) != busy {
		t.Fatalf("answered %+v; there are members: %t", out, busy)
	}
	m.took(out, offsets)
}

func (m *machine) Reset(t *rapid.T) {
	out := m.apply(t, EncodeReset(m.tag(), m.wall, name, []Offset{{Partition{1, 0}, 3, ""}, {Partition{1, 1}, Forget, ""}}))
	if out.Code == api.Code_OK {
		m.committed[Partition{1, 0}] = 3
		delete(m.committed, Partition{1, 1})
	}
}

func (m *machine) Delete(t *rapid.T) {
	if m.apply(t, EncodeDelete(m.tag(), m.wall, name)).Code == api.Code_OK {
		m.end()
	}
}

func (m *machine) end() {
	clear(m.committed)
	clear(m.epochs)
}

func (m *machine) took(out Outcome, offsets []Offset) {
	if out.Code == api.Code_OK {
		for _, o := range offsets {
			m.committed[o.Partition] = o.Offset
		}
	}
}

// Week lets a group without members be forgotten, but none with members.
func (m *machine) Week(t *rapid.T) {
	for range Retention/idle.MaxStep + 1 {
		m.wall += idle.MaxStep
		m.live.Apply(EncodeDelete(m.tag(), m.wall, "other"))
		m.saved.Apply(EncodeDelete(command.Tag{Origin: 9, Number: m.number}, m.wall, "other"))
	}
	if g := m.live.groups[name]; g == nil {
		m.end()
	} else if len(g.members) == 0 {
		t.Fatal("a group without members is there after a week")
	}
	m.note(t)
}

func (m *machine) Restart(t *rapid.T) {
	restarted := New(0)
	if err := restarted.Restore(m.saved.Save()); err != nil {
		t.Fatal(err)
	}
	m.saved = restarted
}

func (m *machine) Garbage(t *rapid.T) {
	data := rapid.SliceOfN(rapid.Byte(), 1, 12).Draw(t, "data")
	if _, ok := decode(data); ok {
		t.Skip("a command by chance")
	}
	if out := m.apply(t, data); out.Code != api.Code_INVALID_REQUEST {
		t.Fatalf("%x: %+v", data, out)
	}
}

// Check holds both replicas to each other, and targets to be whole: each partition of a
// topic that somebody wants is the target of one member who wants it, and owned by it
// unless another has not given it up.
func (m *machine) Check(t *rapid.T) {
	if live, saved := m.live.Save(), m.saved.Save(); !bytes.Equal(live, saved) {
		t.Fatalf("a replica that started again has the state\n%x, not\n%x", saved, live)
	}
	m.checkDerived(t)
	offsets := make(map[Partition]api.Offset)
	for _, o := range m.live.Offsets(name) {
		offsets[o.Partition] = o.Offset
	}
	if m.live.groups[name] != nil && fmt.Sprint(offsets) != fmt.Sprint(m.committed) {
		t.Fatalf("committed is %v, want %v", offsets, m.committed)
	}
	g := m.live.groups[name]
	if g == nil {
		return
	}
	if g.due {
		return
	}
	for _, topic := range g.topics {
		for n := range topic.Partitions {
			p, targets, wanted := Partition{topic.ID, api.Partition(n)}, 0, false
			for id, member := range g.members {
				wants := slices.Contains(member.topics, topic.Name)
				wanted = wanted || wants
				if g.targets[p] == member {
					targets++
					if o, owned := g.owners[p]; !wants || !owned {
						t.Fatalf("%v is the target of %d, who wants it: %t; the owner is %v", p, id, wants, o)
					}
				}
			}
			if wanted && targets != 1 || !wanted && targets != 0 {
				t.Fatalf("%v is the target of %d members; wanted: %t", p, targets, wanted)
			}
		}
	}
}

// checkDerived holds what follows from the state to what it follows from.
func (m *machine) checkDerived(t *rapid.T) {
	bytes := 0
	for name, g := range m.live.groups {
		wants := make(map[string]int)
		for _, member := range g.members {
			for _, topic := range member.topics {
				wants[topic]++
			}
		}
		for p, to := range g.targets {
			if g.members[to.id] != to {
				t.Fatalf("%v is to be %d's, who is no member", p, to.id)
			}
		}
		if !maps.Equal(wants, g.wants) {
			t.Fatalf("topics are wanted by %v, want %v", g.wants, wants)
		}
		bytes += g.size(name)
		for _, o := range g.offsets {
			bytes += o.size()
		}
		owned := 0
		for id, member := range g.members {
			for p := range member.owned {
				if owned++; g.owners[p].member != id {
					t.Fatalf("%d is said to own %v, which %d owns", id, p, g.owners[p].member)
				}
			}
		}
		if owned != len(g.owners) {
			t.Fatalf("members own %d partitions of %d that have an owner", owned, len(g.owners))
		}
	}
	if m.live.Bytes() != bytes || m.saved.Bytes() != bytes {
		t.Fatalf("the state has %d bytes, and %d on the replica that started again, want %d", m.live.Bytes(), m.saved.Bytes(), bytes)
	}
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{
			live: New(100), saved: New(100), since: map[Partition]owner{}, epochs: map[MemberID]Epoch{},
			committed: map[Partition]api.Offset{}, sequences: map[MemberID]uint64{}, tokens: map[string]MemberID{},
		}
		t.Repeat(rapid.StateMachineActions(m))
	})
}
