package group

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Summary is a group in a list.
type Summary struct {
	Name       string
	Members    int
	Generation Generation
}

// Groups lists the groups by name.
func (s *State) Groups() []Summary {
	var list []Summary
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[name]
		list = append(list, Summary{Name: name, Members: len(g.members), Generation: g.generation})
	}
	return list
}

// Rebalancing reports whether some partition of a group is not where it is to be: it has
// to be given up, or granted, or it is to be decided where.
func (s *State) Rebalancing(name string) bool {
	g := s.groups[name]
	if g == nil {
		return false
	}
	if g.due || len(g.targets) != len(g.owners) {
		return true
	}
	//detvet:allow maporder it is one answer for all
	for p, o := range g.owners {
		if g.targets[p] != g.members[o.member] {
			return true
		}
	}
	return false
}

// MemberInfo is a member as others see it.
type MemberInfo struct {
	MemberView
	Instance           string
	Session, Rebalance api.Milliseconds
	// Topics that it wants, by name, ascending.
	Topics []string
	// Beats counts the joins and syncs of the member.
	Beats uint64
}

// Description is a group as people see it.
type Description struct {
	Generation Generation
	// Assignor of the oldest member, Sticky if there is none.
	Assignor Assignor
	// Members ascending by id.
	Members []MemberInfo
	// Offsets ascending by partition.
	Offsets []Offset
}

// Describe describes a group, false if there is none.
func (s *State) Describe(name string) (Description, bool) {
	g := s.groups[name]
	if g == nil {
		return Description{}, false
	}
	d := Description{Generation: g.generation, Offsets: g.committed()}
	for i, m := range g.ordered() {
		if i == 0 {
			d.Assignor = m.assignor
		}
		d.Members = append(d.Members, MemberInfo{g.view(m), m.instance, m.session, m.rebalance, m.topics, m.beats})
	}
	return d, true
}

// Has reports whether a group has a member.
func (s *State) Has(name string, id MemberID) bool {
	g := s.groups[name]
	return g != nil && g.members[id] != nil
}

// Session is what whoever leads the coordinator has to know of a member, to watch it.
type Session struct {
	Member             MemberID
	Session, Rebalance api.Milliseconds
	Epoch              Epoch
	Beats              uint64
	// Owes: the member has partitions to give up.
	Owes bool
}

// Sessions lists the members of a group to watch, ascending.
func (s *State) Sessions(name string) []Session {
	g := s.groups[name]
	if g == nil || len(g.members) == 0 {
		return nil
	}
	var list []Session
	for _, m := range g.ordered() {
		list = append(list, Session{m.id, m.session, m.rebalance, m.epoch, m.beats, g.owes(m)})
	}
	return list
}

// owes reports whether a member has something to give up.
func (g *group) owes(m *member) bool {
	//detvet:allow maporder whether there is any does not depend on the order
	for p := range m.owned {
		if g.targets[p] != m {
			return true
		}
	}
	return false
}

// Due reports whether a generation of a group is to begin, with the next word of topics.
func (s *State) Due(name string) bool {
	g := s.groups[name]
	return g != nil && g.due
}

// Wanted gives the names of the topics that a group's members want, ascending.
func (s *State) Wanted(name string) []string {
	if g := s.groups[name]; g != nil {
		return slices.Sorted(maps.Keys(g.wants))
	}
	return nil
}

// Known is what a group knows of topics: Gone is always empty. The caller must not change
// it.
func (s *State) Known(name string) Catalogue {
	g := s.groups[name]
	if g == nil {
		return Catalogue{}
	}
	return Catalogue{Version: g.catalogue, Topics: g.topics}
}

// Used gives the topics that a group has something of, an owner or an offset, ascending.
func (s *State) Used(name string) []api.TopicID {
	g := s.groups[name]
	if g == nil {
		return nil
	}
	used := make(map[api.TopicID]bool)
	//detvet:allow maporder the topics are sorted
	for p := range g.owners {
		used[p.Topic] = true
	}
	//detvet:allow maporder the topics are sorted
	for p := range g.offsets {
		used[p.Topic] = true
	}
	return slices.Sorted(maps.Keys(used))
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

// Offsets is how far a group has come everywhere, ascending by partition.
func (s *State) Offsets(name string) []Offset {
	if g := s.groups[name]; g != nil {
		return g.committed()
	}
	return nil
}

func (g *group) committed() []Offset {
	var list []Offset
	for _, p := range slices.SortedFunc(maps.Keys(g.offsets), comparePartitions) {
		list = append(list, g.offsets[p])
	}
	return list
}
