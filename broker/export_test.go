package broker

import "github.com/reprise-mq/reprise/broker/api"

// Groups lists the groups of which the journal has a replica or a mark.
func (n *Node) Groups() []api.GroupID { return n.journal.Groups() }

// Readings gives how many bytes fetches may bring that are being read, and how many wait.
func (n *Node) Readings() (bytes, waiting int) { return n.readings.taken, len(n.readings.waiting) }

const MaxReadingBytes = maxReadingBytes

// Open is how many groups the node has a replica of.
func (n *Node) Open() int { return len(n.order) }

const MaxEnds = maxEnds
