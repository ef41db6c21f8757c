package group

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Assignor is a rule by which partitions are spread over members. The numbers stand in
// logs and never change.
type Assignor byte

// The assignors.
const (
	// Sticky leaves partitions where they are, as far as members stay within one of each
	// other where what they subscribe to allows it.
	Sticky Assignor = iota
	// Range gives each member a run of each topic's partitions, so that partitions of the
	// same number of several topics come together.
	Range
	// RoundRobin deals the partitions of all topics out one by one.
	RoundRobin
)

// assignors are all there are.
const assignors = 3

// candidate is a member as an assignor sees it.
type candidate struct {
	id     MemberID
	topics map[api.TopicID]bool
	owned  map[Partition]bool
	given  []Partition
}

// assign spreads the partitions of topics over members, which are ascending by id, and
// leaves in each what it is given. topics are ascending by id.
func assign(rule Assignor, members []*candidate, topics []Topic) {
	switch rule {
	case Range:
		assignRange(members, topics)
	case RoundRobin:
		assignRoundRobin(members, topics)
	default:
		assignSticky(members, topics)
	}
}

func wanting(members []*candidate, topic api.TopicID) []*candidate {
	return slices.DeleteFunc(slices.Clone(members), func(c *candidate) bool { return !c.topics[topic] })
}

func assignRange(members []*candidate, topics []Topic) {
	for _, t := range topics {
		all := wanting(members, t.ID)
		next := int32(0)
		for i, c := range all {
			share := t.Partitions / int32(len(all))
			if int32(i) < t.Partitions%int32(len(all)) {
				share++
			}
			for range share {
				c.given = append(c.given, Partition{t.ID, api.Partition(next)})
				next++
			}
		}
	}
}

func assignRoundRobin(members []*candidate, topics []Topic) {
	turn := 0
	for _, t := range topics {
		for n := range t.Partitions {
			for range members {
				c := members[turn%len(members)]
				turn++
				if c.topics[t.ID] {
					c.given = append(c.given, Partition{t.ID, api.Partition(n)})
					break
				}
			}
		}
	}
}

// assignSticky lets every owner keep what it has, gives the rest to whoever has least, and
// then evens out, one partition at a time, from whoever has most above another that could
// take it, by two at least. Each such step makes the sum of the squares of what members
// have smaller, so it comes to an end; and who gives is never below its share afterwards,
// so nobody gives what it will need again.
func assignSticky(members []*candidate, topics []Topic) {
	s := &spread{holder: make(map[Partition]*candidate), load: make(map[MemberID]int)}
	for _, t := range topics {
		if among := wanting(members, t.ID); len(among) > 0 {
			s.topics, s.among = append(s.topics, t), append(s.among, among)
		}
	}
	s.each(func(p Partition, among []*candidate) {
		if i := slices.IndexFunc(among, func(c *candidate) bool { return c.owned[p] }); i >= 0 {
			s.give(p, among[i])
		}
	})
	s.each(func(p Partition, among []*candidate) {
		if s.holder[p] == nil {
			s.give(p, s.least(among))
		}
	})
	for {
		worst := 0
		s.uneven(func(_ Partition, by int, _ *candidate) bool {
			worst = max(worst, by)
			return false
		})
		if worst < 2 {
			break
		}
		s.uneven(func(p Partition, by int, to *candidate) bool {
			if by == worst {
				s.give(p, to)
			}
			return by == worst
		})
	}
	s.each(func(p Partition, _ []*candidate) { s.holder[p].given = append(s.holder[p].given, p) })
}

// spread is who holds what, while it changes.
type spread struct {
	holder map[Partition]*candidate
	load   map[MemberID]int
	topics []Topic
	among  [][]*candidate // those who want each of the topics
}

func (s *spread) give(p Partition, to *candidate) {
	if from := s.holder[p]; from != nil {
		s.load[from.id]--
	}
	s.holder[p] = to
	s.load[to.id]++
}

func (s *spread) least(among []*candidate) *candidate {
	return slices.MinFunc(among, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(s.load[a.id], s.load[b.id]), cmp.Compare(a.id, b.id))
	})
}

func (s *spread) each(do func(Partition, []*candidate)) {
	for i, t := range s.topics {
		for n := range t.Partitions {
			do(Partition{t.ID, api.Partition(n)}, s.among[i])
		}
	}
}

// uneven tells of each partition by how many its holder has more than who has least of
// those that could take it. move says that it was moved there.
func (s *spread) uneven(move func(p Partition, by int, to *candidate) bool) {
	for i, t := range s.topics {
		to := s.least(s.among[i])
		for n := range t.Partitions {
			p := Partition{t.ID, api.Partition(n)}
			if move(p, s.load[s.holder[p].id]-s.load[to.id], to) {
				to = s.least(s.among[i])
			}
		}
	}
}
