"""CDI, the Container Device Interface: names, specifications read and built, and what several of them say of one device."""
