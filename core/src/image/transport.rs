//! Images in and out of a store, in the forms that other tools know.
