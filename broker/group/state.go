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
	// MaxGroups of a coordinator, MaxMembers of a group, MaxTopics that its members
	// subscribe to together, and MaxPartitions of these.
	MaxGroups, MaxMembers, MaxTopics, MaxPartitions = 10_000, 1000, 1000, 100_000
	// MaxOffsets of a group, MaxMetadata bytes of an offset's, MaxToken bytes of a join's.
	MaxOffsets, MaxMetadata, MaxToken = 100_000, 4096, 64
	// MinSession and MaxSession bound how long a member may be silent, and may take to give
	// partitions up.
	MinSession, MaxSession api.Milliseconds = 1_000, 30 * 60_000
	// Retention is how long the offsets of a group without members are kept.
	Retention api.Milliseconds = 7 * 24 * 60 * 60_000
	// lookEvery is how often, by the clock, groups are looked at that may be forgotten.
	lookEvery api.Milliseconds = 60_000
	// keptCommands is how many commands of the log are kept, and keptBytes about how many bytes
	// of them, and half of that at least. Every segment begins with the whole state, so none is
	// needed; people may want to see what happened last.
	keptCommands, keptBytes = 4096, 16 << 20
)

// State is the state of one coordinator.
type State struct {
	// segmentBytes is the size at which the log's segments roll.
	segmentBytes uint64
	// commands counts the entries that were not empty: each takes an offset of the log.
	commands int64
	// Commands below start are too many bytes ago to be kept; those below half are as soon as
	// so many have come from there on that tail, their bytes, is half of keptBytes.
	start, half, tail int64
	clock             idle.Clock
	groups            map[string]*group
	// bytes is the sum of what is counted of the groups.
	bytes int
	// lastMember is the last id given out.
	lastMember MemberID
}

// New is a coordinator without groups, whose segments roll at a size.
func New(segmentBytes uint64) *State {
	return &State{segmentBytes: segmentBytes, groups: make(map[string]*group)}
}

// SegmentBytes is the size at which the log's segments roll.
func (s *State) SegmentBytes() uint64 { return s.segmentBytes }

// End is one past the offset of the last command.
func (s *State) End() api.Offset { return api.Offset(s.commands) }

// LogStart is the offset of the first command that need be kept.
func (s *State) LogStart() api.Offset { return api.Offset(max(s.start, s.commands-keptCommands)) }

// group is one consumer group.
type group struct {
	generation Generation
	// due: members have come, gone, or want something else since the generation began.
	due     bool
	members map[MemberID]*member
	// catalogue is the version of what is known of topics.
	catalogue api.Index
	// topics that there are, of those that members want, ascending by id.
	topics []Topic
	// wants counts the members that want a topic, by name.
	wants map[string]int
	// targets: whose each partition is to be.
	targets map[Partition]*member
	// owners of the partitions that anybody owns.
	owners  map[Partition]owner
	offsets map[Partition]Offset
	// emptied is when the last member went, by the clock.
	emptied api.Milliseconds
	// committedBytes are of the offsets, otherBytes of all else, and counted what the state's
	// sum has of both.
	committedBytes, otherBytes, counted int
}

func newGroup() *group {
	return &group{
		members: map[MemberID]*member{}, wants: map[string]int{}, targets: map[Partition]*member{},
		owners: map[Partition]owner{}, offsets: map[Partition]Offset{},
	}
}

type owner struct {
	member MemberID
	since  Epoch // of the member, from which on it has been the owner
	// kept is the member's epoch from which on it has been told to keep the partition, or
	// to give it up since: what it says of an earlier one may be of an earlier time when it
	// had to give it up, held up on its way, and gives nothing up.
	kept Epoch
}

type member struct {
	id                 MemberID
	token, instance    string
	session, rebalance api.Milliseconds
	assignor           Assignor
	topics             []string // ascending
	bytes              int      // of what a join said of it
	epoch              Epoch
	owned              map[Partition]bool // as owners says
	// beats counts the joins and syncs of the member. Their answers are what it goes by, so
	// none may come just before its end; those of commits are not, and spare nobody.
	beats uint64
	// sequence of the last commit that was taken, 0 if none that is counted was.
	sequence uint64
}

// Outcome is what became of a command.
type Outcome struct {
	// Tag of the proposal; zero if the entry holds no command.
	Tag command.Tag
	// Count is 1 for a command, which takes an offset of the log, and 0 for an empty entry.
	Count int32
	// Group that the command is about, "" if it is none.
	Group string
	// Code is OK, or why nothing but the clock changed; what is gone goes with refused topics,
	// too.
	Code api.Code
	// Message says more of an error to the client; "" with OK.
	Message string
	// Member is what a join, or a sync, is told.
	Member MemberView
	// Topics: the group may by now want others, or have something of others.
	Topics bool
	// Due: a generation is to begin, with the next word of topics.
	Due bool
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
	s.lengthen(len(data))
	out.Count = 1
	c, ok := decode(data)
	out.Tag = c.head.Tag
	if !ok || !validName(c.group) {
		out.refuse(api.Code_INVALID_REQUEST, "the entry is no command of this version")
		return out
	}
	out.Group = c.group
	looked := s.clock.Elapsed() / lookEvery
	s.clock.Advance(c.head.Now)
	if s.clock.Elapsed()/lookEvery != looked {
		s.expireGroups()
	}
	switch c.head.Kind {
	case kindJoin:
		s.join(c.group, &c.join, &out)
	case kindSync:
		s.sync(&c, &out)
	case kindLeave, kindExpire:
		s.leave(&c, &out)
	case kindTopics:
		s.learn(&c, &out)
	case kindCommit:
		s.commit(c.group, &c.commit, &out)
	case kindReset:
		s.reset(&c, &out)
	case kindDelete:
		s.remove(c.group, &out)
	}
	s.count(c.group, c.head.Kind != kindCommit)
	return out
}

// lengthen counts a command of so many bytes.
func (s *State) lengthen(bytes int) {
	s.commands++
	if s.tail += int64(bytes); s.tail >= keptBytes/2 {
		s.start, s.half, s.tail = s.half, s.commands, 0
	}
}

func validName(name string) bool { return name != "" && len(name) <= MaxName }

// expireGroups forgets groups that have had no members for long.
func (s *State) expireGroups() {
	//detvet:allow maporder each is looked at by itself
	for name, g := range s.groups {
		if len(g.members) == 0 && s.clock.Elapsed()-g.emptied >= Retention {
			s.drop(name)
		}
	}
}

// ordered gives the members ascending by id.
func (g *group) ordered() []*member {
	list := make([]*member, 0, len(g.members))
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		list = append(list, g.members[id])
	}
	return list
}

func comparePartitions(a, b Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
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
	for _, p := range m.partitions() {
		if g.targets[p] == m {
			v.Keeps = append(v.Keeps, p)
		} else {
			v.Gives = append(v.Gives, p)
		}
	}
	return v
}

// own gives a partition to a member, since an epoch and to be kept since another.
func (g *group) own(p Partition, m *member, since, kept Epoch) {
	g.owners[p] = owner{m.id, since, kept}
	m.owned[p] = true
}

// free takes a partition from its owner.
func (g *group) free(p Partition) {
	delete(g.members[g.owners[p].member].owned, p)
	delete(g.owners, p)
}

// partitions lists what a member owns, ascending.
func (m *member) partitions() []Partition {
	return slices.SortedFunc(maps.Keys(m.owned), comparePartitions)
}
