package broker

import "github.com/reprise-mq/reprise/broker/api"

// Groups lists the groups of which the journal has a replica or a mark.
func (n *Node) Groups() []api.GroupID { return n.journal.Groups() }
