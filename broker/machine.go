package broker

import (
	"github.com/reprise-mq/reprise/broker/api"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/broker/partition"
)

// shapeshifter is the machine of every group but meta. A new replica runs what its topic
// wants; one that is found again, or gets a snapshot, runs what the saved state is of. So
// recovery need not know meta, which is open no sooner.
type shapeshifter struct{ group *group }

// Apply is replica.Machine.
func (m shapeshifter) Apply(_ api.Index, data []byte) int32 {
	if c := m.group.coordinator; c != nil {
		return c.apply(data)
	}
	return m.group.partition.apply(data)
}

// Save is replica.Machine.
func (m shapeshifter) Save() []byte {
	if c := m.group.coordinator; c != nil {
		return c.state.Save()
	}
	return m.group.partition.state.Save()
}

// Restore is replica.Machine.
func (m shapeshifter) Restore(data []byte) error {
	if groups.IsState(data) {
		state := groups.New(0)
		if err := state.Restore(data); err != nil {
			return err
		}
		m.group.coordinate(state)
		return nil
	}
	if m.group.partition == nil {
		m.group.keepRecords(partition.New(0))
	}
	return m.group.partition.restore(data)
}

// SegmentBytes is replica.Machine.
func (m shapeshifter) SegmentBytes() uint64 {
	if c := m.group.coordinator; c != nil {
		return c.state.SegmentBytes()
	}
	return m.group.partition.state.Settings().SegmentBytes
}

// LogStart is replica.Machine.
func (m shapeshifter) LogStart() api.Offset {
	start, _ := m.group.bounds()
	return start
}

// keepRecords makes a group that of a partition with records.
func (g *group) keepRecords(state *partition.State) {
	g.partition, g.coordinator = newPartitionMachine(g, state), nil
}

// coordinate makes a group that of a shard of the consumer groups.
func (g *group) coordinate(state *groups.State) {
	g.partition, g.coordinator = nil, newCoordinator(g, state)
}

// bounds are the first offset of a log that is kept, and the next one.
func (g *group) bounds() (start, end api.Offset) {
	if g.coordinator != nil {
		return g.coordinator.state.LogStart(), g.coordinator.state.End()
	}
	return g.partition.state.LogStart(), g.partition.state.End()
}
