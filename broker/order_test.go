package broker

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
)

// The order of the groups is that of their numbers, whatever came and went; and who
// walks over it sees what was there when the walk began.
func TestOrderOfGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := &Node{groups: make(map[api.GroupID]*group)}
		type walk struct{ live, then []*group }
		var walks []walk
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := api.GroupID(rapid.Uint64Range(0, 12).Draw(t, "group"))
			if g := n.groups[id]; g != nil {
				n.dropGroup(g)
			} else {
				n.addGroup(&group{id: id})
			}
			var want []*group
			for _, id := range slices.Sorted(maps.Keys(n.groups)) {
				want = append(want, n.groups[id])
			}
			if !slices.Equal(n.order, want) {
				t.Fatalf("the order has %d groups that are not the %d there are, in order", len(n.order), len(want))
			}
			walks = append(walks, walk{n.order, want})
			for i, w := range walks {
				if !slices.Equal(w.live, w.then) {
					t.Fatalf("walk %d sees another list than when it began", i)
				}
			}
		}
	})
}

// Where replicas were last heard is known of the last few only.
func TestRoutesAreBounded(t *testing.T) {
	g := &group{}
	for r := api.ReplicaID(1); r <= 2*maxRoutes; r++ {
		g.heard(r, 1)
		g.heard(r, 2)
		if node, ok := g.lastHeard(r); !ok || node != 2 {
			t.Fatalf("replica %d was last heard on node 2, and is looked for on %d (%t)", r, node, ok)
		}
	}
	if _, ok := g.lastHeard(maxRoutes); ok || len(g.routes) != maxRoutes {
		t.Errorf("%d routes, want %d", len(g.routes), maxRoutes)
	}
}
