cpdef tuple keys_of(object keys)
