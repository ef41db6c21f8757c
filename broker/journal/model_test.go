package journal

import (
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
)

// modelGroup is the slow, obvious image of a group.
type modelGroup struct {
	replica, destroyed api.ReplicaID
	folder             uint64
	hard               HardState
	base               Base
	checkpoint         Checkpoint
	entries            map[api.Index]string // "term:type:data"
}

// model is what every group's image should be.
type model map[api.GroupID]*modelGroup

func (m model) clone() model {
	c := model{}
	for g, i := range m {
		n := *i
		n.entries = maps.Clone(i.entries)
		c[g] = &n
	}
	return c
}

func (m model) apply(u Update) {
	if u.Forget {
		delete(m, u.Group)
		return
	}
	g := m[u.Group]
	if g == nil {
		g = &modelGroup{entries: map[api.Index]string{}}
		m[u.Group] = g
	}
	if in := u.Install; in != nil {
		hard := HardState{Term: g.hard.Term, Vote: g.hard.Vote}
		if g.replica != in.Replica {
			hard = HardState{}
		}
		*g = modelGroup{
			replica: in.Replica, destroyed: g.destroyed, folder: in.Folder, hard: hard,
			base: Base{in.Index, in.Term}, entries: map[api.Index]string{},
		}
	}
	if u.Hard != nil {
		g.hard = *u.Hard
	}
	if len(u.Entries) > 0 {
		for index := range g.entries {
			if index >= api.Index(u.Entries[0].GetIndex()) {
				delete(g.entries, index)
			}
		}
		for _, e := range u.Entries {
			g.entries[api.Index(e.GetIndex())] = brief(e)
		}
	}
	if u.Checkpoint != nil {
		g.checkpoint = *u.Checkpoint
		for index := range g.entries {
			if index <= u.Checkpoint.Index {
				delete(g.entries, index)
			}
		}
	}
	if u.Destroyed != 0 {
		if g.replica == 0 || g.replica == u.Destroyed {
			*g = modelGroup{entries: map[api.Index]string{}}
		}
		g.destroyed = u.Destroyed
	}
}

func brief(e *raftpb.Entry) string {
	return fmt.Sprintf("%d:%d:%s", e.GetTerm(), e.GetType(), e.GetData())
}

func (g *modelGroup) first() api.Index { return max(g.base.Index, g.checkpoint.Index) + 1 }

func (g *modelGroup) last() api.Index { return g.first() + api.Index(len(g.entries)) - 1 }

// differs says where an image is not what the model says, "" if nowhere.
func (g *modelGroup) differs(i *Image) string {
	switch {
	case i.Replica != g.replica || i.Destroyed != g.destroyed || i.Folder != g.folder:
		return fmt.Sprintf("replica %d, destroyed %d, folder %d, want %d, %d, %d",
			i.Replica, i.Destroyed, i.Folder, g.replica, g.destroyed, g.folder)
	case i.Hard != g.hard:
		return fmt.Sprintf("hard %+v, want %+v", i.Hard, g.hard)
	case i.Base != g.base || i.Checkpoint != g.checkpoint:
		return fmt.Sprintf("base %+v, checkpoint %+v, want %+v, %+v", i.Base, i.Checkpoint, g.base, g.checkpoint)
	case i.First() != g.first() || i.Last() != g.last():
		return fmt.Sprintf("entries %d to %d, want %d to %d", i.First(), i.Last(), g.first(), g.last())
	}
	bytes := 0
	for k, e := range i.Entries(i.First(), i.Last()+1, 1<<40) {
		index := i.First() + api.Index(k)
		if got := brief(e); api.Index(e.GetIndex()) != index || got != g.entries[index] {
			return fmt.Sprintf("entry %d %s, want %d %s", e.GetIndex(), got, index, g.entries[index])
		}
		if term, ok := i.Term(index); !ok || uint64(term) != e.GetTerm() {
			return fmt.Sprintf("term of %d is %d, %v", index, term, ok)
		}
		bytes += weight(e)
	}
	if i.Bytes() != bytes {
		return fmt.Sprintf("%d bytes, want %d", i.Bytes(), bytes)
	}
	return ""
}

func (m model) differs(j *Journal) string {
	want := slices.Sorted(maps.Keys(m))
	if got := j.Groups(); !slices.Equal(got, want) {
		return fmt.Sprintf("groups %v, want %v", got, want)
	}
	for _, g := range want {
		if d := m[g].differs(j.Image(g)); d != "" {
			return fmt.Sprintf("group %d: %s", g, d)
		}
	}
	return ""
}
