//! Memory of the graphics card that is freed when it is dropped: SDL's textures are not, where egui draws.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use anyhow::Result;
use sdl2::pixels::PixelFormatEnum;
use sdl2::render::{TextureAccess, TextureCreator};
use sdl2::video::WindowContext;

pub struct Texture {
    /// There until it is dropped.
    inner: Option<sdl2::render::Texture>,
    _creator: Rc<TextureCreator<WindowContext>>,
}

impl Texture {
    pub fn new(
        creator: &Rc<TextureCreator<WindowContext>>,
        form: PixelFormatEnum,
        access: TextureAccess,
        (width, height): (u32, u32),
    ) -> Result<Texture> {
        let inner = creator.create_texture(form, access, width, height)?;
        Ok(Texture { inner: Some(inner), _creator: creator.clone() })
    }
}

impl Deref for Texture {
    type Target = sdl2::render::Texture;

    fn deref(&self) -> &sdl2::render::Texture {
        self.inner.as_ref().expect("it is there until the drop")
    }
}

impl DerefMut for Texture {
    fn deref_mut(&mut self) -> &mut sdl2::render::Texture {
        self.inner.as_mut().expect("it is there until the drop")
    }
}

#[allow(unsafe_code)]
impl Drop for Texture {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            // SAFETY: its creator, which is kept beside it, keeps the renderer alive; nobody else has the texture.
            unsafe { inner.destroy() }
        }
    }
}
