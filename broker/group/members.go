package group

import (
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
		g = &group{members: map[MemberID]*member{}, owners: map[Partition]owner{}, offsets: map[Partition]Offset{}}
		s.groups[name] = g
	}
	m := g.members[j.Member]
	switch static := g.static(j.Instance); {
	case m == nil && static != nil:
		m = g.replace(static, s.nextMember())
	case m == nil:
		m = &member{id: s.nextMember(), instance: j.Instance, epoch: 1}
		g.members[m.id] = m
	}
	wants := slices.Compact(slices.Sorted(slices.Values(j.Topics)))
	changed := m.beats == 0 || m.assignor != j.Assignor || !slices.Equal(m.topics, wants)
	m.session, m.rebalance, m.assignor, m.topics = j.Session, j.Rebalance, j.Assignor, wants
	m.beats++
	if changed {
		g.begin()
	}
	out.Member = g.view(m)
}

// admits says what is wrong with a join.
func (s *State) admits(name string, j *Join, out *Outcome) bool {
	g := s.groups[name]
	within := func(t api.Milliseconds) bool { return t >= MinSession && t <= MaxSession }
	switch {
	case j.Assignor >= assignors || len(j.Instance) > MaxName || len(j.Topics) > MaxTopics:
		out.refuse(api.Code_INVALID_REQUEST, "assignor %d, an instance of %d bytes, %d topics: assignors go to %d, names to %d bytes, topics to %d",
			j.Assignor, len(j.Instance), len(j.Topics), assignors-1, MaxName, MaxTopics)
	case !within(j.Session) || !within(j.Rebalance):
		out.refuse(api.Code_INVALID_REQUEST, "a session of %d ms, a rebalance of %d ms: both are from %d to %d", j.Session, j.Rebalance, MinSession, MaxSession)
	case j.Member != 0 && (g == nil || g.members[j.Member] == nil):
		out.unknown(name, j.Member)
	case j.Member == 0 && g != nil && len(g.members) >= MaxMembers && g.static(j.Instance) == nil:
		out.refuse(api.Code_OVERLOADED, "group %q has %d members, which is as many as there may be", name, MaxMembers)
	default:
		return true
	}
	return false
}

func (out *Outcome) unknown(name string, id MemberID) {
	out.refuse(api.Code_UNKNOWN_MEMBER, "group %q has no member %d: it left, or was silent for too long; join again", name, id)
}

func (s *State) nextMember() MemberID {
	s.lastMember++
	return s.lastMember
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

// replace gives a static member another id: who had the old one is fenced, and nothing
// moves.
func (g *group) replace(old *member, id MemberID) *member {
	m := *old
	m.id = id
	m.epoch++
	delete(g.members, old.id)
	g.members[id] = &m
	for _, p := range g.ownedBy(old.id) {
		g.owners[p] = owner{id, m.epoch}
	}
	return &m
}

// sync takes what a member still has, and tells it what it owns.
func (s *State) sync(c *decoded, out *Outcome) {
	g := s.groups[c.group]
	if g == nil || g.members[c.member] == nil {
		out.unknown(c.group, c.member)
		return
	}
	m := g.members[c.member]
	m.beats++
	given := false
	for _, p := range g.ownedBy(m.id) {
		if !m.target[p] && g.owners[p].since <= c.epoch && !slices.Contains(c.has, p) {
			delete(g.owners, p)
			given = true
		}
	}
	if given {
		m.epoch++
		g.grant()
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
	delete(g.members, c.member)
	for _, p := range g.ownedBy(c.member) {
		delete(g.owners, p)
	}
	if len(g.members) == 0 {
		g.emptied = s.clock.Elapsed()
	}
	g.begin()
}

// learn takes which topics there are. What was committed in a topic that is gone goes too.
func (s *State) learn(c *decoded) {
	g := s.groups[c.group]
	if g == nil {
		return
	}
	topics := slices.Clone(c.topics)
	slices.SortFunc(topics, func(a, b Topic) int { return comparePartitions(Partition{a.ID, 0}, Partition{b.ID, 0}) })
	if slices.Equal(topics, g.topics) {
		return
	}
	g.topics = topics
	g.begin()
}

// begin begins a generation: everybody gets a target, and what is free its owner.
func (g *group) begin() {
	g.generation++
	members := g.ordered()
	var candidates []*candidate
	for _, m := range members {
		c := &candidate{id: m.id, topics: map[api.TopicID]bool{}, owned: map[Partition]bool{}}
		for _, t := range g.topics {
			c.topics[t.ID] = slices.Contains(m.topics, t.Name)
		}
		for _, p := range g.ownedBy(m.id) {
			c.owned[p] = true
		}
		candidates = append(candidates, c)
	}
	if len(members) > 0 {
		assign(members[0].assignor, candidates, g.topics)
	}
	for i, m := range members {
		m.target = map[Partition]bool{}
		for _, p := range candidates[i].given {
			m.target[p] = true
		}
	}
	g.grant()
}

// grant gives every member what is its target and nobody's.
func (g *group) grant() {
	for _, m := range g.ordered() {
		var free []Partition
		for _, p := range slices.SortedFunc(maps.Keys(m.target), comparePartitions) {
			if _, owned := g.owners[p]; !owned {
				free = append(free, p)
			}
		}
		if len(free) == 0 {
			continue
		}
		m.epoch++
		for _, p := range free {
			g.owners[p] = owner{m.id, m.epoch}
		}
	}
}
