package group

import (
	"fmt"
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
		c := &candidate{id: MemberID(i + 1), topics: map[api.TopicID]bool{}, owned: map[Partition]bool{}}
		wants, has, _ := strings.Cut(text, ":")
		for _, w := range strings.Fields(wants) {
			var id api.TopicID
			_, _ = fmt.Sscan(w, &id)
			c.topics[id] = true
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
		{"sticky gives a new one its share", Sticky, one, []string{"1: 1/0 1/1 1/2", "1: 1/3 1/4", "1"}, "1/1 1/2 | 1/3 1/4 | 1/0"},
		{"sticky takes from who has most", Sticky, []Topic{{"a", 1, 9}}, []string{"1: 1/0 1/1", "1: 1/2 1/3 1/4 1/5 1/6 1/7 1/8", "1"},
			"1/0 1/1 1/4 | 1/6 1/7 1/8 | 1/2 1/3 1/5"},
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
			members = append(members, &candidate{id: MemberID(id + 1), topics: map[api.TopicID]bool{1: true, 2: true}, owned: map[Partition]bool{}})
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
