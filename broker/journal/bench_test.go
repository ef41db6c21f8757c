package journal

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
)

// BenchmarkAppend is a batch of 16 groups' updates of one 1 KiB entry each, with
// its write and sync on a disk in memory.
func BenchmarkAppend(b *testing.B) {
	const groups, size = 16, 1024
	fx := newFixture(b, 16<<20, 8)
	fx.disk.thrifty = true
	fx.mustOpen()
	data := string(make([]byte, size))
	for g := range api.GroupID(groups) {
		fx.j.Append(Update{Group: g, Install: &Install{Replica: 1}}, nil)
	}
	done := func() {}
	var pool [1024]*raftpb.Entry
	for k := range pool {
		pool[k] = entry(0, 1, data)
	}
	b.SetBytes(groups * size)
	b.ReportAllocs()
	index := api.Index(0)
	one := make([]*raftpb.Entry, 1)
	for b.Loop() {
		index++
		e := pool[index%api.Index(len(pool))]
		*e.Index = uint64(index)
		one[0] = e
		for g := range api.GroupID(groups) {
			u := Update{Group: g, Entries: one}
			if index%512 == 0 {
				u.Checkpoint = &Checkpoint{Index: index - 1}
			}
			fx.j.Append(u, done)
		}
		fx.j.Flush()
		fx.disk.run()
	}
}

// BenchmarkRecovery opens a journal of 64 MiB in files of 16 MiB.
func BenchmarkRecovery(b *testing.B) {
	const total, size, batch = 64 << 20, 1024, 64
	fx := newFixture(b, 16<<20, 8)
	fx.mustOpen()
	fx.j.Append(Update{Group: 1, Install: &Install{Replica: 1}}, nil)
	data := string(make([]byte, size))
	for index := api.Index(1); index < total/size; index += batch {
		u := Update{Group: 1}
		for k := range api.Index(batch) {
			u.Entries = append(u.Entries, entry(index+k, 1, data))
		}
		fx.j.Append(u, func() {})
		fx.j.Flush()
		fx.disk.run()
	}
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		fx.disk.kill()
		fx.mustOpen()
	}
}
