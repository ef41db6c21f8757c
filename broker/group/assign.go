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
// then evens out, one partition at a time, from a member to one that has at least two
// fewer. Each such step makes the sum of the squares of what members have smaller, so it
// comes to an end.
func assignSticky(members []*candidate, topics []Topic) {
	holder := make(map[Partition]*candidate)
	load := make(map[MemberID]int)
	give := func(p Partition, to *candidate) {
		if from := holder[p]; from != nil {
			load[from.id]--
		}
		holder[p] = to
		load[to.id]++
	}
	least := func(among []*candidate) *candidate {
		return slices.MinFunc(among, func(a, b *candidate) int {
			return cmp.Or(cmp.Compare(load[a.id], load[b.id]), cmp.Compare(a.id, b.id))
		})
	}
	each := func(do func(Partition, []*candidate)) {
		for _, t := range topics {
			if among := wanting(members, t.ID); len(among) > 0 {
				for n := range t.Partitions {
					do(Partition{t.ID, api.Partition(n)}, among)
				}
			}
		}
	}
	each(func(p Partition, among []*candidate) {
		if i := slices.IndexFunc(among, func(c *candidate) bool { return c.owned[p] }); i >= 0 {
			give(p, among[i])
		}
	})
	each(func(p Partition, among []*candidate) {
		if holder[p] == nil {
			give(p, least(among))
		}
	})
	for moved := true; moved; {
		moved = false
		each(func(p Partition, among []*candidate) {
			if to := least(among); load[holder[p].id] > load[to.id]+1 {
				give(p, to)
				moved = true
			}
		})
	}
	each(func(p Partition, _ []*candidate) { holder[p].given = append(holder[p].given, p) })
}
