package group

import (
	"cmp"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/idle"
)

// Bounds of a coordinator. What exceeds them is refused.
const (
	// MaxName is the longest name of a group, and of an instance.
	MaxName = 249
	// MaxMembers of a group, MaxTopics that a member subscribes to, MaxMetadata bytes of an
	// offset's.
	MaxMembers, MaxTopics, MaxMetadata = 1000, 1000, 4096
	// MinSession and MaxSession bound how long a member may be silent, and may take to give
	// partitions up.
	MinSession, MaxSession api.Milliseconds = 1_000, 30 * 60_000
	// Retention is how long the offsets of a group without members are kept.
	Retention api.Milliseconds = 7 * 24 * 60 * 60_000
)

// State is the state of one coordinator.
type State struct {
	clock  idle.Clock
	groups map[string]*group
	// lastMember is the last id given out.
	lastMember MemberID
}

// New is a coordinator without groups.
func New() *State { return &State{groups: make(map[string]*group)} }

// group is one consumer group.
type group struct {
	generation Generation
	members    map[MemberID]*member
	// topics that there are, of those that members want, ascending by id.
	topics []Topic
	// owners of the partitions that anybody owns.
	owners  map[Partition]owner
	offsets map[Partition]Offset
	// emptied is when the last member went, by the clock.
	emptied api.Milliseconds
}

type owner struct {
	member MemberID
	since  Epoch // of the member
}

type member struct {
	id                 MemberID
	instance           string
	session, rebalance api.Milliseconds
	assignor           Assignor
	topics             []string // ascending
	epoch              Epoch
	target             map[Partition]bool
	// beats counts the commands of the member.
	beats uint64
}

// Outcome is what became of a command.
type Outcome struct {
	// Tag of the proposal; zero if the entry holds no command.
	Tag command.Tag
	// Code is OK, or why nothing but the clock changed.
	Code api.Code
	// Message says more of an error to the client; "" with OK.
	Message string
	// Member is what a join, or a sync, is told.
	Member MemberView
}

// MemberView is a member as it is told of itself.
type MemberView struct {
	ID         MemberID
	Generation Generation
	Epoch      Epoch
	// Keeps is what the member may read: what it owns, but for what it has to give up.
	// Ascending.
	Keeps []Partition
	// Gives is what it has to give up: it says so with a Sync. Ascending.
	Gives []Partition
}

// Apply carries out one entry of the log. It accepts any bytes: raft's own empty entries
// change nothing, and what is no command is answered INVALID_REQUEST.
func (s *State) Apply(data []byte) Outcome {
	var out Outcome
	if len(data) == 0 {
		return out
	}
	c, ok := decode(data)
	out.Tag = c.head.Tag
	if !ok || !validName(c.group) {
		out.refuse(api.Code_INVALID_REQUEST, "the entry is no command of this version")
		return out
	}
	s.clock.Advance(c.head.Now)
	s.expireGroups()
	switch c.head.Kind {
	case kindJoin:
		s.join(c.group, &c.join, &out)
	case kindSync:
		s.sync(&c, &out)
	case kindLeave, kindExpire:
		s.leave(&c, &out)
	case kindTopics:
		s.learn(&c)
	case kindCommit:
		s.commit(c.group, &c.commit, &out)
	case kindReset:
		s.reset(&c, &out)
	case kindDelete:
		s.remove(c.group, &out)
	}
	return out
}

func validName(name string) bool { return name != "" && len(name) <= MaxName }

// expireGroups forgets groups that have had no members for long. There are never many: one
// look at each costs less than a list of them in order.
func (s *State) expireGroups() {
	maps.DeleteFunc(s.groups, func(_ string, g *group) bool {
		return len(g.members) == 0 && s.clock.Elapsed()-g.emptied >= Retention
	})
}

// ordered gives the members ascending by id.
func (g *group) ordered() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int { return cmp.Compare(a.id, b.id) })
}

func comparePartitions(a, b Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
}

// Members gives the ids of a group's members, ascending, nil if there is no such group.
func (s *State) Members(name string) []MemberID {
	g := s.groups[name]
	if g == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(g.members))
}

// View is what a member is told of itself, false if there is no such member.
func (s *State) View(name string, id MemberID) (MemberView, bool) {
	g := s.groups[name]
	if g == nil || g.members[id] == nil {
		return MemberView{}, false
	}
	return g.view(g.members[id]), true
}

func (g *group) view(m *member) MemberView {
	v := MemberView{ID: m.id, Generation: g.generation, Epoch: m.epoch}
	for _, p := range g.ownedBy(m.id) {
		if m.target[p] {
			v.Keeps = append(v.Keeps, p)
		} else {
			v.Gives = append(v.Gives, p)
		}
	}
	return v
}

// ownedBy lists what a member owns, ascending.
func (g *group) ownedBy(id MemberID) []Partition {
	var list []Partition
	//detvet:allow maporder the list is sorted
	for p, o := range g.owners {
		if o.member == id {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, comparePartitions)
	return list
}

// Committed is how far a group has come in a partition, false if it has committed nothing
// there.
func (s *State) Committed(name string, p Partition) (Offset, bool) {
	g := s.groups[name]
	if g == nil {
		return Offset{}, false
	}
	o, there := g.offsets[p]
	return o, there
}
