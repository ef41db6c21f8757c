package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"pgregory.net/rapid"
)

// spreadOver runs an assignor. Each member is "wants: has", as in "1 2: 1/0 1/1".
func spreadOver(rule Assignor, topics []Topic, members ...string) string {
	var list []*candidate
	for i, text := range members {
		c := &candidate{id: MemberID(i + 1), wants: make([]bool, len(topics)), owned: map[Partition]bool{}}
		wants, has, _ := strings.Cut(text, ":")
		for _, w := range strings.Fields(wants) {
			var id api.TopicID
			_, _ = fmt.Sscan(w, &id)
			for at, topic := range topics {
				c.wants[at] = c.wants[at] || topic.ID == id
			}
		}
		for _, h := range strings.Fields(has) {
			var p Partition
			_, _ = fmt.Sscanf(h, "%d/%d", &p.Topic, &p.Number)
			c.owned[p] = true
		}
		list = append(list, c)
	}
	assign(rule, list, topics)
	var out []string
	for _, c := range list {
		var given []string
		for _, p := range c.given {
			given = append(given, fmt.Sprintf("%d/%d", p.Topic, p.Number))
		}
		out = append(out, strings.Join(given, " "))
	}
	return strings.Join(out, " | ")
}

func TestAssignors(t *testing.T) {
	one, two := []Topic{{"a", 1, 5}}, []Topic{{"a", 1, 3}, {"b", 2, 3}}
	for _, test := range []struct {
		name    string
		rule    Assignor
		topics  []Topic
		members []string
		want    string
	}{
		{"range gives runs", Range, one, []string{"1", "1"}, "1/0 1/1 1/2 | 1/3 1/4"},
		{"range puts equal numbers together", Range, two, []string{"1 2", "1 2"}, "1/0 1/1 2/0 2/1 | 1/2 2/2"},
		{"range leaves out who does not want", Range, two, []string{"1", "1 2"}, "1/0 1/1 | 1/2 2/0 2/1 2/2"},
		{"a member too many", Range, []Topic{{"a", 1, 1}}, []string{"1", "1"}, "1/0 | "},
		{"round robin deals", RoundRobin, two, []string{"1 2", "1 2"}, "1/0 1/2 2/1 | 1/1 2/0 2/2"},
		{"round robin skips who does not want", RoundRobin, two, []string{"2", "1 2"}, "2/0 2/2 | 1/0 1/1 1/2 2/1"},
		{"nobody wants it", RoundRobin, two, []string{"1"}, "1/0 1/1 1/2"},
		{"sticky spreads", Sticky, one, []string{"1", "1"}, "1/0 1/2 1/4 | 1/1 1/3"},
		{"sticky keeps", Sticky, one, []string{"1: 1/1 1/3 1/4", "1: 1/0"}, "1/1 1/3 1/4 | 1/0 1/2"},
		{"sticky gives a new one its share", Sticky, one, []string{"1: 1/0 1/1 1/2", "1: 1/3 1/4", "1"}, "1/0 1/1 | 1/3 1/4 | 1/2"},
		{"sticky takes from who has most", Sticky, []Topic{{"a", 1, 9}}, []string{"1: 1/0 1/1", "1: 1/2 1/3 1/4 1/5 1/6 1/7 1/8", "1"},
			"1/0 1/1 1/6 | 1/2 1/3 1/4 | 1/5 1/7 1/8"},
		{"sticky takes back what is not wanted any more", Sticky, two, []string{"2: 1/0 1/1", "1 2"}, "2/0 2/1 2/2 | 1/0 1/1 1/2"},
	} {
		if got := spreadOver(test.rule, test.topics, test.members...); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// Whatever members have, sticky gives each of those who want the same as many as any
// other, by one, and takes from nobody more than what is above its share.
func TestStickyMovesAsLittleAsItCan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := []Topic{{"a", 1, rapid.Int32Range(1, 12).Draw(t, "a")}, {"b", 2, rapid.Int32Range(1, 12).Draw(t, "b")}}
		all := int(topics[0].Partitions + topics[1].Partitions)
		var members []*candidate
		for id := range rapid.IntRange(1, 6).Draw(t, "members") {
			members = append(members, &candidate{id: MemberID(id + 1), wants: []bool{true, true}, owned: map[Partition]bool{}})
		}
		for _, topic := range topics {
			for n := range topic.Partitions {
				if at := rapid.IntRange(-1, len(members)-1).Draw(t, "owner"); at >= 0 {
					members[at].owned[Partition{topic.ID, api.Partition(n)}] = true
				}
			}
		}
		assign(Sticky, members, topics)
		floor, given := all/len(members), 0
		above := 0
		for _, c := range members {
			given += len(c.given)
			kept := len(slices.DeleteFunc(slices.Clone(c.given), func(p Partition) bool { return !c.owned[p] }))
			if len(c.given) < floor || len(c.given) > floor+1 {
				t.Fatalf("%d partitions over %d members: one has %d", all, len(members), len(c.given))
			}
			if kept < min(len(c.owned), len(c.given)) || kept < len(c.owned) && len(c.owned) <= floor {
				t.Fatalf("member %d had %d, has %d and kept %d", c.id, len(c.owned), len(c.given), kept)
			}
			if len(c.owned) > floor && len(c.given) > floor {
				above++
			}
		}
		rich := len(slices.DeleteFunc(slices.Clone(members), func(c *candidate) bool { return len(c.owned) <= floor }))
		if given != all || above < min(rich, all%len(members)) {
			t.Fatalf("%d of %d are given; %d of the %d that had more than %d keep one more, and %d could", given, all, above, rich, floor, all%len(members))
		}
	})
}

// Whoever wants and has what, sticky gives each partition to one who wants it, leaves nobody
// with two more than another who could have one of them, and moves nothing when asked again.
func TestStickyIsEvenWhoeverWantsWhat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var topics []Topic
		for id := range rapid.IntRange(1, 8).Draw(t, "topics") {
			topics = append(topics, Topic{ID: api.TopicID(id + 1), Partitions: rapid.Int32Range(1, 12).Draw(t, "partitions")})
		}
		var members []*candidate
		for id := range rapid.IntRange(1, 8).Draw(t, "members") {
			wants := rapid.SliceOfN(rapid.Bool(), len(topics), len(topics)).Draw(t, "wants")
			members = append(members, &candidate{id: MemberID(id + 1), wants: wants, owned: map[Partition]bool{}})
		}
		for _, topic := range topics {
			for n := range topic.Partitions {
				if at := rapid.IntRange(-1, len(members)-1).Draw(t, "owner"); at >= 0 {
					members[at].owned[Partition{topic.ID, api.Partition(n)}] = true
				}
			}
		}
		given := spreadEvenly(t, members, topics)
		for _, c := range members {
			c.given, c.load, c.owned = nil, 0, make(map[Partition]bool)
		}
		for p, c := range given {
			c.owned[p] = true
		}
		if again := spreadEvenly(t, members, topics); !maps.Equal(again, given) {
			t.Fatalf("what was spread evenly is spread again: %v, and then %v", given, again)
		}
	})
}

// spreadEvenly runs the sticky assignor, and holds what it gives to what must be.
func spreadEvenly(t *rapid.T, members []*candidate, topics []Topic) map[Partition]*candidate {
	assign(Sticky, members, topics)
	given := make(map[Partition]*candidate)
	for _, c := range members {
		for _, p := range c.given {
			if given[p] != nil || !c.wants[p.Topic-1] {
				t.Fatalf("%v is given to %d, who wants %v; given is %v", p, c.id, c.wants, given)
			}
			given[p] = c
		}
	}
	for at, topic := range topics {
		all := wanting(members, at)
		for n := range topic.Partitions {
			from := given[Partition{topic.ID, api.Partition(n)}]
			if from == nil && len(all) > 0 {
				t.Fatalf("partition %d of topic %d is given to nobody", n, topic.ID)
			}
			for _, to := range all {
				if len(from.given) >= len(members[to].given)+2 {
					t.Fatalf("member %d has %d, and %d could have one of topic %d, and has %d", from.id, len(from.given), members[to].id, topic.ID, len(members[to].given))
				}
			}
		}
	}
	return given
}
