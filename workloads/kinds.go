package workloads

// Kinds of workloads beside that of a log.
const (
	// Retention is a workload on a topic that does not keep everything: records have time
	// stamps that are all over the place, and are looked for by them. The topic's configs
	// change, and it gets more partitions.
	Retention = "retention"
	// Group is the workload of a log that a consumer group reads meanwhile.
	Group = "group"
	// Membership is the workload of a log whose cluster changes all the time: nodes join,
	// leave and are lost, replicas and leaders move.
	Membership = "membership"
	// Mixed is all of them at once.
	Mixed = "mixed"
)

// Kinds are all kinds, but for that of a log.
var Kinds = []string{Retention, Group, Membership, Mixed}

// Retains reports whether the topic's configs and partitions change.
func (c Config) Retains() bool { return c.Kind == Retention || c.Kind == Mixed }

// Grouped reports whether a consumer group reads the topic.
func (c Config) Grouped() bool { return c.Kind == Group || c.Kind == Mixed }

// Moves reports whether the cluster changes all the time.
func (c Config) Moves() bool { return c.Kind == Membership || c.Kind == Mixed }
