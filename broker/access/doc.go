// Package access says who may do what: users with what a node keeps of their passwords,
// ACLs, and which operations on which resources each request takes. The words and their
// meanings are Kafka's: an ACL allows or denies a principal an operation on the resources
// that a pattern fits; what is not allowed is denied, and a denial goes before every
// permission.
//
// It is pure: it holds no state of the cluster (meta does), speaks to nobody (rpc does),
// and draws nothing at random.
package access
