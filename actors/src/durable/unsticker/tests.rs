//! What is stuck and what is not, and how far the cures go.
