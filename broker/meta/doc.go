// Package meta is the replicated state machine of group 0: which nodes there are,
// which topics, where each partition's replicas stand, which producer ids and
// epochs were given out, and which users and ACLs there are. It decides, from a command and the state alone, so every
// replica, and every replay of the log, decides the same. It never reads a clock,
// sends a message, or moves a replica: it says what is wanted, and is told when raft
// has committed it.
//
// Nodes, topics, groups, replicas and producers are numbered from 1, ascending, and
// no number is given out twice.
//
// A command is the head of package command, then the fields of its request, in the
// numbers of broker/codec:
//
//	1 create topic     name, partitions, replication factor, segment bytes, configs,
//	                   silent nodes
//	2 delete topic     topic
//	3 init producer    producer id, epoch
//	4 join             token, address
//	5 update node      node, token, address
//	6 move replica     topic, partition, from, to
//	7 elect leader     topic, partition, node
//	8 remove node      node
//	9 replica changed  group, index, voters, learners
//	60 alter topic     topic, configs to set, names of those to unset
//	61 add partitions  topic, number of partitions, silent nodes
//	70 put user        name, salt, iterations, stored key, server key, 1 if it is new
//	                   or else 0, decoy
//	71 delete user     name
//	72 create ACLs     ACLs
//	73 delete ACLs     filters
//
// Numbers are uvarints; names, tokens and addresses are bytes; a topic is its name
// and its id; voters, learners and silent nodes are a count and so many numbers; configs are a count and for each its name
// and its value, as the client wrote them, and names a count and so many names. ACLs and
// filters are a count and for each the principal, operation, resource, name, pattern and
// permission, where the numbers are those of api.Acl.
//
// A saved state is
//
//	byte     format version, 3
//	bytes    cluster id
//	uvarint  default segment bytes
//	clock    of package idle
//	uvarint  last node, topic, group, producer given out (4 numbers)
//	uvarint  preferred leader of the meta group
//	uvarint  index of the meta group's latest configuration
//	uvarint  number of nodes, then for each, ascending by id
//	  uvarint  id
//	  bytes    address
//	  bytes    token
//	  byte     flags: 1 voter, 2 removing
//	uvarint  number of topics, then for each, ascending by id
//	  uvarint  id
//	  bytes    name
//	  uvarint  segment bytes that its partitions begin with
//	  uvarint  version of its configs
//	  uvarint  number of configs that are set, then for each, ascending
//	    byte     its number: 0 max.message.bytes, 1 retention.bytes, 2 retention.ms,
//	             3 segment.bytes
//	    uvarint  value + 1
//	  uvarint  number of partitions, then for each, by number
//	    uvarint  group
//	    uvarint  last replica given out
//	    uvarint  index of the latest configuration
//	    uvarint  number of founders, then the node of each
//	    uvarint  number of replicas, then for each, in order of preference
//	      uvarint  node
//	      uvarint  replica
//	      byte     flags: 1 adding, 2 removing
//	uvarint  the highest epoch of a producer that was forgotten
//	uvarint  number of producers with an epoch above 0, then for each, the longest
//	         idle first
//	  uvarint  id
//	  uvarint  time when the epoch was given out, by the clock
//	  uvarint  epoch
//	uvarint  number of changes of users and ACLs
//	bytes    decoy
//	uvarint  number of users, then for each, ascending by name
//	  bytes    name
//	  bytes    salt
//	  uvarint  iterations
//	  bytes    stored key
//	  bytes    server key
//	ACLs     as above, ascending by principal, resource, pattern, name, operation and
//	         permission
//
// Equal states give equal bytes.
package meta
