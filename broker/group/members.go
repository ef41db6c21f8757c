package group

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// join makes a member, or takes what an old one wants by now.
func (s *State) join(name string, j *Join, out *Outcome) {
	if !s.admits(name, j, out) {
		return
	}
	g := s.groups[name]
	if g == nil {
		g = newGroup()
		s.groups[name] = g
	}
	m := g.members[j.Member]
	if m == nil {
		m = g.byToken(j.Token)
	}
	switch static := g.static(j.Instance); {
	case m == nil && static != nil:
		g.replace(static, s.nextMember())
		m = static
		m.token = j.Token
	case m == nil:
		m = &member{id: s.nextMember(), token: j.Token, instance: j.Instance, epoch: 1, owned: map[Partition]bool{}}
		g.members[m.id] = m
	}
	wants := slices.Compact(slices.Sorted(slices.Values(j.Topics)))
	changed := m.beats == 0 || m.assignor != j.Assignor || !slices.Equal(m.topics, wants)
	m.session, m.rebalance, m.assignor = j.Session, j.Rebalance, j.Assignor
	g.want(m, wants)
	m.beats++
	if changed {
		g.due = true
		out.Topics, out.Due = true, true
	}
	out.Member = g.view(m)
}

// Check says what is wrong with a join whatever the state is, nil if nothing. It is for
// before the command is made, so that no log carries it, and is done again when that is
// applied.
func (j *Join) Check() *api.Error {
	within := func(t api.Milliseconds) bool { return t >= MinSession && t <= MaxSession }
	switch {
	case j.Assignor >= assignors || len(j.Instance) > MaxName || len(j.Token) > MaxToken:
		return api.Errorf(api.Code_INVALID_REQUEST, "assignor %d, an instance of %d bytes, a token of %d: assignors go to %d, names of instances to %d bytes, tokens to %d",
			j.Assignor, len(j.Instance), len(j.Token), assignors-1, MaxName, MaxToken)
	case !within(j.Session) || !within(j.Rebalance):
		return api.Errorf(api.Code_INVALID_REQUEST, "a session of %d ms, a rebalance of %d ms: both are from %d to %d", j.Session, j.Rebalance, MinSession, MaxSession)
	case len(j.Topics) > MaxTopics || slices.ContainsFunc(j.Topics, wrongName):
		return api.Errorf(api.Code_INVALID_REQUEST, "%d topics: a group wants at most %d, whose names have 1 to %d bytes", len(j.Topics), MaxTopics, MaxName)
	}
	return nil
}

// admits says what is wrong with a join.
func (s *State) admits(name string, j *Join, out *Outcome) bool {
	if e := j.Check(); e != nil {
		out.Code, out.Message = e.GetCode(), e.GetMessage()
		return false
	}
	g := s.groups[name]
	switch {
	case j.Member != 0 && (g == nil || g.members[j.Member] == nil):
		out.unknown(name, j.Member)
	case j.Member != 0 && g.members[j.Member].instance != j.Instance:
		out.refuse(api.Code_INVALID_REQUEST, "member %d of group %q is not of instance %q; join as a new one", j.Member, name, j.Instance)
	case g != nil && g.bars(j):
		out.refuse(api.Code_FENCED_INSTANCE, "%s", fenced(name, j.Former, j.Instance))
	case g == nil && len(s.groups) >= MaxGroups:
		out.tooManyGroups()
	case j.Member == 0 && g != nil && len(g.members) >= MaxMembers && g.joiner(j) == nil:
		out.refuse(api.Code_GROUPS_FULL, "group %q has %d members, which is as many as there may be", name, MaxMembers)
	case g != nil && g.wantedWith(j) > MaxTopics:
		out.refuse(api.Code_INVALID_REQUEST, "the members of group %q want more than %d topics; use more groups", name, MaxTopics)
	default:
		more := j.size()
		if old := g.joiner(j); old != nil {
			more -= old.bytes
		}
		return !s.full(more, out)
	}
	return false
}

// joiner is the member that a join is of, or whose place it takes; nil if it makes one.
func (g *group) joiner(j *Join) *member {
	if g == nil {
		return nil
	}
	return cmp.Or(g.members[j.Member], g.byToken(j.Token), g.static(j.Instance))
}

// Joiner is the member that a join would be of, or whose place it would take; 0 if it would
// make one, or be refused as fenced.
func (s *State) Joiner(name string, j *Join) MemberID {
	g := s.groups[name]
	m := g.joiner(j)
	if m == nil || g.bars(j) {
		return 0
	}
	return m.id
}

func (out *Outcome) unknown(name string, id MemberID) {
	out.refuse(api.Code_UNKNOWN_MEMBER, "group %q has no member %d: it left, or was silent for too long; join again", name, id)
}

func (out *Outcome) tooManyGroups() {
	out.refuse(api.Code_GROUPS_FULL, "the coordinator has %d groups, which is as many as there may be; delete some", MaxGroups)
}

func wrongName(name string) bool { return !validName(name) }

func (s *State) nextMember() MemberID {
	s.lastMember++
	return s.lastMember
}

// want has a member want other topics.
func (g *group) want(m *member, topics []string) {
	for _, t := range m.topics {
		if g.wants[t]--; g.wants[t] == 0 {
			delete(g.wants, t)
		}
	}
	for _, t := range topics {
		g.wants[t]++
	}
	m.topics = topics
	m.bytes = textsSize(m.token, m.instance, m.topics)
}

// wantedWith counts the topics that are wanted once a join is taken: without those that only
// its member has wanted so far.
func (g *group) wantedWith(j *Join) int {
	others := g.wants
	if old := g.joiner(j); old != nil {
		others = maps.Clone(g.wants)
		for _, t := range old.topics {
			if others[t]--; others[t] == 0 {
				delete(others, t)
			}
		}
	}
	n := len(others)
	for _, t := range slices.Compact(slices.Sorted(slices.Values(j.Topics))) {
		if others[t] == 0 {
			n++
		}
	}
	return n
}

// byToken is the member that joined with a token, nil if there is none.
func (g *group) byToken(token string) *member {
	if token == "" {
		return nil
	}
	//detvet:allow maporder a token has one member
	for _, m := range g.members {
		if m.token == token {
			return m
		}
	}
	return nil
}

// static is the member with an instance's name, nil if there is none.
func (g *group) static(instance string) *member {
	if instance == "" {
		return nil
	}
	//detvet:allow maporder an instance has one member
	for _, m := range g.members {
		if m.instance == instance {
			return m
		}
	}
	return nil
}

// fences reports whether an instance's place is another member's.
func (g *group) fences(instance string, id MemberID) bool {
	holder := g.static(instance)
	return holder != nil && holder.id != id
}

// bars reports whether a join is of a client whose place another has taken.
func (g *group) bars(j *Join) bool {
	return j.Former != 0 && g.byToken(j.Token) == nil && g.fences(j.Instance, j.Former)
}

// Fenced says that a client which was a member of an instance is none because another has
// taken its place; "" if that is not why. Who was no member, id 0, had no place: its join
// may have come upon its own member by the token.
func (s *State) Fenced(name string, id MemberID, instance string) string {
	g := s.groups[name]
	if g == nil || id == 0 || g.members[id] != nil || !g.fences(instance, id) {
		return ""
	}
	return fenced(name, id, instance)
}

func fenced(name string, id MemberID, instance string) string {
	return fmt.Sprintf("another client has joined group %q by the instance name %q, and taken the place of member %d; give each client a name of its own", name, instance, id)
}

// replace gives a static member another id: who had the old one is fenced, and nothing
// moves.
func (g *group) replace(m *member, id MemberID) {
	delete(g.members, m.id)
	m.id = id
	m.epoch++
	m.sequence = 0
	g.members[id] = m
	for _, p := range m.partitions() {
		g.own(p, m, m.epoch, m.epoch)
	}
}

// sync takes what a member has given up, and tells it what it owns.
func (s *State) sync(c *decoded, out *Outcome) {
	g := s.groups[c.group]
	if g == nil || g.members[c.member] == nil {
		out.unknown(c.group, c.member)
		return
	}
	m := g.members[c.member]
	m.beats++
	var freed []Partition
	for _, p := range c.given {
		if o, owned := g.owners[p]; owned && o.member == m.id && g.targets[p] != m && o.kept <= c.epoch {
			g.free(p)
			freed = append(freed, p)
		}
	}
	if len(freed) > 0 {
		m.epoch++
		g.passOn(freed)
	}
	out.Member = g.view(m)
}

// leave ends a member: because it wants to, or because it was silent since the leader saw
// so many beats of it.
func (s *State) leave(c *decoded, out *Outcome) {
	g := s.groups[c.group]
	if g == nil || g.members[c.member] == nil {
		out.unknown(c.group, c.member)
		return
	}
	if c.head.Kind == kindExpire && g.members[c.member].beats != c.beats {
		return
	}
	m := g.members[c.member]
	freed := m.partitions()
	for _, p := range freed {
		g.free(p)
	}
	//detvet:allow maporder each is looked at by itself
	for p, to := range g.targets {
		if to == m {
			delete(g.targets, p)
		}
	}
	g.want(m, nil)
	delete(g.members, m.id)
	g.passOn(freed)
	g.due = len(g.members) > 0
	out.Topics, out.Due = true, g.due
	if len(g.members) == 0 && len(g.offsets) == 0 {
		s.drop(c.group) // there is nothing to keep it for
		return
	}
	if len(g.members) == 0 {
		g.emptied = s.clock.Elapsed()
		g.topics = nil
		g.begin()
	}
}

// learn takes which topics there are, unless it knows better. Of a topic that is gone
// nothing stays: neither who owns its partitions nor what was committed there. That makes
// room, so it goes first, also where there is too little room for the rest. A generation
// that is due begins: who joins or leaves at the same time as others does not have everything
// assigned for itself alone.
func (s *State) learn(c *decoded, out *Outcome) {
	g := s.groups[c.group]
	if !validTopics(c.catalogue.Topics) {
		out.refuse(api.Code_INVALID_REQUEST, "%d topics are no catalogue", len(c.catalogue.Topics))
		return
	}
	if g == nil || c.catalogue.Version < g.catalogue {
		return
	}
	lost := g.forget(c.catalogue.Gone)
	s.count(c.group, true)
	partitions := 0
	for _, t := range c.catalogue.Topics {
		partitions += int(t.Partitions)
	}
	changed := false
	if !s.full(2*partitionBytes*(partitions-len(g.owners)), out) {
		changed = !slices.Equal(c.catalogue.Topics, g.topics)
		g.catalogue, g.topics = c.catalogue.Version, c.catalogue.Topics
	}
	if g.due || lost || changed {
		g.begin()
	}
}

// validTopics reports whether topics ascend by id, and are not too many.
func validTopics(topics []Topic) bool {
	all, last := int64(0), api.TopicID(0)
	for _, t := range topics {
		all += int64(t.Partitions)
		if t.ID <= last || t.Partitions < 1 || !validName(t.Name) {
			return false
		}
		last = t.ID
	}
	return len(topics) <= MaxTopics && all <= MaxPartitions
}

// forget takes away topics that are gone, and what hangs on them, and reports whether
// somebody owned a part of them.
func (g *group) forget(list []api.TopicID) bool {
	gone := make(map[api.TopicID]bool)
	for _, id := range list {
		gone[id] = true
	}
	g.topics = slices.DeleteFunc(slices.Clone(g.topics), func(t Topic) bool { return gone[t.ID] })
	losers := make(map[MemberID]bool)
	for _, p := range slices.SortedFunc(maps.Keys(g.owners), comparePartitions) {
		if gone[p.Topic] {
			losers[g.owners[p].member] = true
			g.free(p)
		}
	}
	for _, m := range g.ordered() {
		if losers[m.id] {
			m.epoch++
		}
	}
	//detvet:allow maporder each is looked at by itself
	for p := range g.offsets {
		if gone[p.Topic] {
			g.forgetOffset(p)
		}
	}
	return len(losers) > 0
}

// begin begins a generation: everybody gets a target, and what is free its owner.
func (g *group) begin() {
	g.generation++
	g.due = false
	members := g.ordered()
	candidates := g.candidates(members)
	if len(members) > 0 {
		assign(members[0].assignor, candidates, g.topics)
	}
	before := g.targets
	g.targets = make(map[Partition]*member, len(before))
	for i, m := range members {
		g.retarget(m, candidates[i].given, before)
	}
}

// candidates are members as an assignor sees them.
func (g *group) candidates(members []*member) []*candidate {
	at := make(map[string]int)
	for i, t := range g.topics {
		at[t.Name] = i
	}
	list := make([]*candidate, len(members))
	for i, m := range members {
		c := &candidate{id: m.id, owned: m.owned}
		if i > 0 && slices.Equal(members[i-1].topics, m.topics) {
			c.wants = list[i-1].wants // mostly all want the same
		} else {
			c.wants = make([]bool, len(g.topics))
			for _, name := range m.topics {
				if t, known := at[name]; known {
					c.wants[t] = true
				}
			}
		}
		list[i] = c
	}
	return list
}

// retarget tells a member what is to be its own, and grants it what is nobody's. What it had
// to give up, and may keep after all, it keeps as of a new epoch.
func (g *group) retarget(m *member, given []Partition, before map[Partition]*member) {
	var kept []Partition
	for _, p := range given {
		g.targets[p] = m
		if g.owners[p].member == m.id && before[p] != m {
			kept = append(kept, p)
		}
	}
	if len(kept) > 0 {
		m.epoch++
		for _, p := range kept {
			g.own(p, m, g.owners[p].since, m.epoch)
		}
	}
	g.grant(m, given)
}

// passOn grants what its owner has given up to those whose it is to be.
func (g *group) passOn(freed []Partition) {
	heirs := make(map[MemberID][]Partition)
	for _, p := range freed {
		if heir := g.targets[p]; heir != nil {
			heirs[heir.id] = append(heirs[heir.id], p)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(heirs)) {
		g.grant(g.members[id], heirs[id])
	}
}

// grant gives a member what is nobody's of what is to be its own.
func (g *group) grant(m *member, list []Partition) {
	free := slices.DeleteFunc(slices.Clone(list), func(p Partition) bool {
		_, owned := g.owners[p]
		return owned
	})
	if len(free) == 0 {
		return
	}
	m.epoch++
	for _, p := range free {
		g.own(p, m, m.epoch, m.epoch)
	}
}
